/**
 * One conversation in a page of yours, such as the chat of order 123, for a user of yours. It needs no framework, and no
 * more than the policy `script-src 'self'; connect-src <the chat>` allows.
 */
import { Chat, type Message, type Sending } from "chat-service/client"

interface WidgetOptions {
  /** The address of the chat service. It must allow the origin of the page. */
  readonly url: string
  /** Which conversation, by the id that `PUT /v1/server/conversations/order-123` answers. */
  readonly conversationId: string
  /** Asks your server for a token of its user, as often as one is needed. */
  readonly token: () => Promise<string>
}

const style = `
  :host { display: block; height: 24rem; font: 15px/1.45 system-ui, sans-serif; color: CanvasText; background: Canvas }
  section { display: grid; grid-template-rows: auto 1fr auto; height: 100%; border: 1px solid #8884; border-radius: 12px }
  header { display: flex; gap: 0.5rem; align-items: baseline; padding: 0.6rem 0.9rem; border-bottom: 1px solid #8884 }
  [role=status] { margin-inline-start: auto; font-size: 0.85em; opacity: 0.75 }
  [role=log] { overflow: auto; padding: 0.5rem 0.9rem; overflow-wrap: anywhere; white-space: pre-wrap }
  article { margin: 0.35rem 0 }
  article > * { display: block; font-size: 0.85em }
  article > p { margin: 0; font-size: 1em }
  .waiting { opacity: 0.6 }
  .failed { color: #c33 }
  form { display: flex; gap: 0.5rem; padding: 0.6rem 0.9rem; border-top: 1px solid #8884 }
  input { flex: 1; min-width: 0 }
  input, button { padding: 0.4rem 0.7rem; border: 1px solid #8886; border-radius: 8px; font: inherit }
`

/** Makes an element with attributes and what is in it. */
const element = <Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Readonly<Record<string, string>> = {},
  ...children: ReadonlyArray<Node | string>
): HTMLElementTagNameMap[Name] => {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  made.append(...children)
  return made
}

const button = (label: string, onClick: () => void) => {
  const made = element("button", { type: "button" }, label)
  made.addEventListener("click", onClick)
  return made
}

/** A widget shows the names of about as many members. */
const mostNames = 200

/** Fetches the names of who is in the conversation, again when somebody joins. */
const follow = (chat: Chat, conversationId: string, onNames: (names: ReadonlyMap<string, string>) => void) => {
  const fetchNames = async () => {
    const names = new Map<string, string>()
    let cursor: string | undefined
    do {
      const page = await chat.ask("member.list", { conversationId, ...(cursor !== undefined && { cursor }) })
      for (const { user } of page.items) names.set(user.id, user.displayName)
      cursor = page.nextCursor
    } while (cursor !== undefined && names.size < mostNames)
    onNames(names)
  }
  chat.conversation(conversationId).on("member.joined", () => void fetchNames().catch(() => {}))
  return fetchNames()
}

/** Shows a conversation in a place of the page. Returns what takes it away again. */
export const openWidget = (place: HTMLElement, { conversationId, token, url }: WidgetOptions): (() => void) => {
  const chat = new Chat({ url, token })
  const conversation = chat.conversation(conversationId)
  let names: ReadonlyMap<string, string> = new Map()
  /** The lines that are there, so that only what has changed is made again. */
  let lines = new WeakMap<object, HTMLElement>()

  const title = element("strong", { dir: "auto" })
  const status = element("span", { role: "status" })
  const older = button("Show older messages", () => void conversation.loadOlder().catch(() => {}))
  const log = element("div", { role: "log", "aria-label": "Messages", tabindex: "0" })
  const box = element("input", {
    "aria-label": "Message",
    placeholder: "Message",
    autocomplete: "off",
    maxlength: "8000"
  })
  const send = element("form", {}, box, element("button", { type: "submit" }, "Send"))

  const messageLine = (message: Message) => {
    const mine = message.senderId === chat.userId
    const at = new Date(message.createdAt).toLocaleString([], { dateStyle: "short", timeStyle: "short" })
    return element(
      "article",
      {},
      element("strong", { dir: "auto" }, mine ? "You" : (names.get(message.senderId) ?? "…")),
      element("p", { dir: "auto" }, message.deletedAt === null ? message.body : "Message deleted"),
      element("time", { datetime: message.createdAt }, at)
    )
  }

  const sendingLine = ({ message, problem, status }: Sending) => {
    const line = element("article", { class: status }, element("p", { dir: "auto" }, message.body))
    if (status !== "failed") return line
    line.append(
      element("span", { role: "alert" }, problem?.detail ?? "This was not sent."),
      button("Try again", () => void conversation.retry(message.clientMessageId).catch(() => {})),
      button("Discard", () => void conversation.discard(message.clientMessageId).catch(() => {}))
    )
    return line
  }

  const lineOf = <Value extends object>(value: Value, make: (value: Value) => HTMLElement) => {
    const line = lines.get(value) ?? make(value)
    lines.set(value, line)
    return line
  }

  /** Everything that is shown comes from the state. */
  const render = () => {
    const { connection, sending } = chat.state
    const state = conversation.state
    const messages = state?.messages ?? []
    const known = new Set(messages.map(({ clientMessageId }) => clientMessageId))
    const waiting = sending.filter(
      ({ message }) => message.conversationId === conversationId && !known.has(message.clientMessageId)
    )
    title.textContent = state?.conversation.title ?? state?.conversation.peer?.displayName ?? ""
    status.textContent = connection.status === "online" ? "" : connection.status === "closed" ? "ended" : "connecting…"
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40
    log.replaceChildren(
      ...(state?.messages != null && state.hasBefore ? [older] : []),
      ...messages.map((message) => lineOf(message, messageLine)),
      ...waiting.map((one) => lineOf(one, sendingLine))
    )
    if (atEnd) log.scrollTop = log.scrollHeight
    const unread = state?.conversation.me.unreadCount ?? 0
    if (atEnd && unread > 0 && messages.length > 0 && document.hasFocus()) conversation.markRead().catch(() => {})
  }

  send.addEventListener("submit", (event) => {
    event.preventDefault()
    if (box.value.trim() === "") return
    // A message that is refused stays in the list and says why.
    conversation.send(box.value).catch(() => {})
    box.value = ""
  })

  const root = place.shadowRoot ?? place.attachShadow({ mode: "open" })
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(style)
  root.adoptedStyleSheets = [sheet]
  root.replaceChildren(element("section", { "aria-label": "Chat" }, element("header", {}, title, status), log, send))

  chat.subscribe(render)
  const open = async () => {
    await chat.ready()
    await conversation.open()
    await follow(chat, conversationId, (next) => {
      names = next
      lines = new WeakMap()
      render()
    })
  }
  open().catch((error: unknown) => {
    status.textContent = error instanceof Error ? error.message : String(error)
  })
  return () => {
    root.replaceChildren()
    void chat.close()
  }
}
