import { useChat, useChatState } from "chat-service/client/react"
import { SendHorizontal, X } from "lucide-react"
import { type KeyboardEvent, type Ref, useEffect, useImperativeHandle, useRef, useState } from "react"
import { draftOf, keepDraft } from "../chat/drafts.ts"
import { useUser } from "../chat/people.tsx"
import type { Member, Message } from "../chat/types.ts"
import { text } from "../text/text.ts"
import { IconButton } from "../ui/Button.tsx"
import { attempt } from "../ui/notices.tsx"
import { Completion, useCompletion } from "./Completion.tsx"

/** What is being written: something new, an answer to a message, or a new body of one. */
export type Writing =
  | { readonly kind: "new" }
  | { readonly kind: "reply"; readonly message: Message }
  | { readonly kind: "edit"; readonly message: Message }

/** What others can ask the composer to do. */
export interface ComposerHandle {
  readonly focus: () => void
}

/** Others see that somebody is typing for a few seconds, so it is said again in this interval. */
const typingMillis = 3000

/** The longest message that the default settings allow, in characters. */
const maxLength = 8000

const useTyping = (id: string) => {
  const chat = useChat()
  const online = useChatState(({ connection }) => connection.status === "online")
  const last = useRef(Number.NEGATIVE_INFINITY)
  return () => {
    if (!online || performance.now() - last.current < typingMillis) return
    last.current = performance.now()
    // Whether others see it does not matter to who writes.
    chat.typing(id).catch(() => {})
  }
}

const About = ({ onCancel, writing }: { readonly writing: Writing; readonly onCancel: () => void }) => {
  const sender = useUser(writing.kind === "reply" ? writing.message.senderId : undefined)
  if (writing.kind === "new") return null
  return (
    <div className="about">
      <strong dir="auto">
        {writing.kind === "edit" ? text.editing : text.replyTo(sender?.displayName ?? text.someone)}
      </strong>
      <span dir="auto">{writing.message.body}</span>
      <IconButton label={text.cancel} onClick={onCancel}>
        <X />
      </IconButton>
    </div>
  )
}

/** Makes a text area as high as its text. */
const useHeight = (area: { readonly current: HTMLTextAreaElement | null }, body: string) => {
  // biome-ignore lint/correctness/useExhaustiveDependencies: the height follows from the text
  useEffect(() => {
    if (area.current === null) return
    area.current.style.height = "auto"
    area.current.style.height = `${area.current.scrollHeight}px`
  }, [area, body])
}

interface ComposerProps {
  readonly conversationId: string
  /** Where the draft is kept: the id of the conversation or of the root of a thread. */
  readonly place: string
  readonly to: string
  readonly members: ReadonlyArray<Member>
  readonly writing: Writing
  readonly onWriting: (writing: Writing) => void
  readonly onSend: (body: string) => void
  /** Called when the user wants to edit the last message. */
  readonly onEditLast?: () => void
  readonly ref?: Ref<ComposerHandle>
}

/** Where messages are written. What was begun is kept until it is sent, also over a reload. */
export const Composer = (props: ComposerProps) => {
  const { conversationId, members, onEditLast, onSend, onWriting, place, ref, to, writing } = props
  const chat = useChat()
  const area = useRef<HTMLTextAreaElement>(null)
  const [fresh, setFresh] = useState(() => draftOf(place))
  const [changed, setChanged] = useState<string | null>(null)
  const editing = writing.kind === "edit" ? writing.message : null
  const body = editing === null ? fresh : (changed ?? editing.body)
  const type = useTyping(conversationId)
  useHeight(area, body)
  useImperativeHandle(ref, () => ({ focus: () => area.current?.focus() }), [])

  const write = (next: string) => {
    if (editing !== null) return setChanged(next)
    setFresh(next)
    keepDraft(place, next)
    if (next.trim() !== "") type()
  }
  const stop = () => {
    setChanged(null)
    onWriting({ kind: "new" })
  }
  const completion = useCompletion({ area, body, members, onComplete: write })
  const submit = () => {
    if (body.trim() === "" || body.length > maxLength) return
    if (editing === null) {
      onSend(body)
      write("")
    } else if (body !== editing.body) {
      attempt(chat.conversation(conversationId).edit(editing.id, body))
    }
    stop()
  }
  const onKeyDown = (event: KeyboardEvent) => {
    // An input method uses the same keys to choose characters.
    if (event.nativeEvent.isComposing) return
    if (completion.onKeyDown(event)) return
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault()
      submit()
    } else if (event.key === "Escape" && writing.kind !== "new") {
      event.stopPropagation()
      stop()
    } else if (event.key === "ArrowUp" && body === "" && editing === null) {
      onEditLast?.()
    }
  }
  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault()
        submit()
      }}
    >
      <About writing={writing} onCancel={stop} />
      <Completion completion={completion} />
      <div className="line">
        <textarea
          ref={area}
          rows={1}
          dir="auto"
          aria-label={text.writeMessage(to)}
          placeholder={text.writeMessage(to)}
          value={body}
          onChange={(event) => write(event.target.value)}
          onKeyDown={onKeyDown}
          {...completion.attributes}
        />
        {body.length > maxLength - 500 && (
          <span className={body.length > maxLength ? "error" : "hint"}>{maxLength - body.length}</span>
        )}
        <IconButton label={text.send} type="submit" className="send" disabled={body.trim() === ""}>
          <SendHorizontal />
        </IconButton>
      </div>
    </form>
  )
}
