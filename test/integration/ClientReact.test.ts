import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Window } from "happy-dom"
import { createElement, type ReactNode, StrictMode } from "react"
import { Chat } from "../../src/client/Client.ts"
import {
  ChatProvider,
  useChat,
  useConnection,
  useConversation,
  useConversations,
  useMessages,
  usePresence
} from "../../src/client/React.ts"
import { TestService } from "../../src/testing/TestService.ts"
import { patience } from "../support/TimeLimits.ts"

const window = new Window()
Object.assign(globalThis, { window, document: window.document })
// It looks for the window when it is loaded.
const { createRoot } = await import("react-dom/client")

const clientOf = (name: string) =>
  Effect.gen(function* () {
    const { signIn, url } = yield* TestService
    const tokens = yield* signIn(name)
    const chat = yield* Effect.acquireRelease(
      Effect.sync(() => new Chat({ url, tokens })),
      (it) => Effect.promise(() => it.close())
    )
    yield* Effect.promise(() => chat.ready())
    return chat
  })

/** Renders into a page, and waits until the text of the page is as expected. */
const shown = (chat: Chat, children: ReactNode) =>
  Effect.gen(function* () {
    const container = window.document.createElement("div")
    const root = createRoot(container)
    yield* Effect.addFinalizer(() => Effect.sync(() => root.unmount()))
    root.render(createElement(StrictMode, null, createElement(ChatProvider, { chat }, children)))
    const text = () => container.textContent
    return (expected: string) =>
      Effect.promise(() => new Promise<void>((go) => setImmediate(go))).pipe(
        Effect.repeat({ until: () => text() === expected }),
        Effect.timeoutOrElse({
          duration: patience,
          orElse: () => Effect.sync(() => assert.strictEqual(text(), expected))
        })
      )
  })

const Line = ({ text }: { readonly text: string }) => createElement("p", null, text)

layer(TestService.layer(), { excludeTestServices: true })("the hooks for React", (it) => {
  it.effect("show a conversation live, with what is being sent, its unread count and who is online", () =>
    Effect.gen(function* () {
      const [ann, bob] = [yield* clientOf("ann"), yield* clientOf("bob")]
      const { id } = yield* Effect.promise(() => ann.ask("conversation.create", { kind: "dm", userId: bob.userId }))
      yield* Effect.promise(() => ann.conversation(id).send("Hello"))

      const Talk = () => {
        const connection = useConnection()
        const conversation = useConversation(id)
        const { messages, sending } = useMessages(id)
        const status = usePresence([ann.userId]).get(ann.userId)?.status
        const bodies = [...(messages ?? []), ...sending.map(({ message }) => message)].map(({ body }) => body)
        const unread = conversation?.conversation.me.unreadCount
        return createElement(Line, { text: `${connection.status} ${status} ${unread}: ${bodies.join(", ")}` })
      }
      const until = yield* shown(bob, createElement(Talk))
      yield* until("online online 1: Hello")
      yield* Effect.promise(() => bob.conversation(id).markRead())
      yield* until("online online 0: Hello")
      yield* Effect.promise(() => bob.conversation(id).send("Hello Ann"))
      yield* until("online online 0: Hello, Hello Ann")
      yield* Effect.promise(() => ann.ask("presence.set", { status: "dnd" }))
      yield* until("online dnd 0: Hello, Hello Ann")
    }).pipe(Effect.scoped)
  )

  it.effect("show the history to somebody who is removed and added again", () =>
    Effect.gen(function* () {
      const [ann, bob] = [yield* clientOf("ann4"), yield* clientOf("bob4")]
      const { id } = yield* Effect.promise(() =>
        ann.ask("conversation.create", { kind: "group", title: "Two", memberIds: [bob.userId] })
      )
      const Talk = () => {
        const { error, messages } = useMessages(id)
        const text = error === undefined ? messages?.map(({ body }) => body).join(", ") : "cannot be shown"
        return createElement(Line, { text: text ?? "nothing yet" })
      }
      const until = yield* shown(bob, createElement(Talk))
      yield* Effect.promise(() => ann.conversation(id).send("Hello"))
      yield* until("Hello")
      yield* Effect.promise(() => ann.ask("member.remove", { conversationId: id, userId: bob.userId }))
      yield* until("cannot be shown")
      yield* Effect.promise(() => ann.ask("member.add", { conversationId: id, userIds: [bob.userId] }))
      yield* until("")
      yield* Effect.promise(() => ann.conversation(id).send("Hello again"))
      yield* until("Hello again")
    }).pipe(Effect.scoped)
  )

  it.effect("render nothing again that did not change", () =>
    Effect.gen(function* () {
      const [ann, bob] = [yield* clientOf("ann2"), yield* clientOf("bob2")]
      const group = (title: string) =>
        Effect.promise(() => ann.ask("conversation.create", { kind: "group", title, memberIds: [bob.userId] }))
      const [one, other] = [yield* group("one"), yield* group("other")]
      const renders = { chat: 0, one: 0, presence: 0 }
      const OfChat = () => {
        renders.chat++
        return createElement(Line, { text: useChat().userId === bob.userId ? "" : "somebody else" })
      }
      const OfOne = () => {
        renders.one++
        return createElement(Line, { text: `${useMessages(one.id).messages?.length}` })
      }
      const OfPresence = () => {
        renders.presence++
        return createElement(Line, { text: `${usePresence([ann.userId]).get(ann.userId)?.status}` })
      }
      const OfAll = () => {
        const latest = useConversations()[0]?.conversation
        return createElement(Line, { text: `${latest?.title} ${latest?.lastMessage?.body}` })
      }
      const components = [OfChat, OfOne, OfPresence, OfAll].map((component) =>
        createElement(component, { key: component.name })
      )
      const until = yield* shown(bob, components)
      yield* Effect.promise(() => ann.conversation(one.id).send("first"))
      yield* until("1onlineone first")
      const before = { ...renders }
      for (const body of ["a", "b", "c"]) yield* Effect.promise(() => ann.conversation(other.id).send(body))
      yield* until("1onlineother c")
      assert.deepStrictEqual(renders, before)
    }).pipe(Effect.scoped)
  )

  it.effect("say why a conversation cannot be shown", () =>
    Effect.gen(function* () {
      const bob = yield* clientOf("bob")
      const Talk = () => {
        const { error, messages } = useMessages("00000000-0000-4000-8000-000000000000")
        const reason = error instanceof Error ? error.name : "none"
        return createElement(Line, { text: `${messages}, ${reason}` })
      }
      const until = yield* shown(bob, createElement(Talk))
      yield* until("null, NotFound")
    }).pipe(Effect.scoped)
  )
})
