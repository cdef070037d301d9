import type { SendOptions } from "chat-service/client"
import { useChat, useChatState } from "chat-service/client/react"
import { X } from "lucide-react"
import { type KeyboardEvent, type Ref, useEffect, useImperativeHandle, useRef, useState } from "react"
import { draftOf, editsOf, keepDraft, keepEdit } from "../chat/drafts.ts"
import { useUser } from "../chat/people.tsx"
import type { Member, Message } from "../chat/types.ts"
import type { Writing } from "../chat/writing.ts"
import { ChosenFiles } from "../files/ChosenFiles.tsx"
import { useFiles } from "../files/useFiles.ts"
import { text } from "../text/text.ts"
import { IconButton } from "../ui/Button.tsx"
import { isComposing } from "../ui/composing.ts"
import { attempt } from "../ui/notices.tsx"
import { Completion, useCompletion } from "./Completion.tsx"
import { ComposerTools } from "./ComposerTools.tsx"
import { Markdown } from "./Markdown.tsx"

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

/** What is in the text area: a draft, or the new body of a message. */
const useBody = (place: string, editing: Message | null, onType: () => void) => {
  const { userId } = useChat()
  const [fresh, setFresh] = useState(() => draftOf(place))
  const [edits, setEdits] = useState(() => editsOf(userId, place))
  const keptOf = (messageId: string) => editsOf(userId, place).find((edit) => edit.messageId === messageId)
  const keep = (messageId: string, body: string | null) => setEdits(keepEdit(userId, place, messageId, body))
  const write = (next: string) => {
    if (editing !== null) return keep(editing.id, next)
    setFresh(next)
    keepDraft(place, next)
    if (next.trim() !== "") onType()
  }
  const changed = edits.find(({ messageId }) => messageId === editing?.id)
  return {
    body: changed?.body ?? editing?.body ?? fresh,
    fresh,
    write,
    /** Forgets the edit of a message; with a body, only if nothing was changed since. */
    forget: (messageId: string, body?: string) => {
      const kept = keptOf(messageId)
      if (kept !== undefined && (body ?? kept.body) === kept.body) keep(messageId, null)
    },
    /** Keeps an edit that has failed, unless another one of the message is kept. */
    failed: (messageId: string, body: string) => {
      if (keptOf(messageId) === undefined) keep(messageId, body)
    }
  }
}

/** Takes the focus where it would be lost: when what had it is gone. A keyboard on the screen does not come up by itself. */
const useLostFocus = (area: { readonly current: HTMLTextAreaElement | null }) => {
  useEffect(() => {
    if (document.activeElement?.matches("body") && matchMedia("(hover: hover)").matches) area.current?.focus()
  }, [area])
}

interface ComposerProps {
  readonly conversationId: string
  /** Where the draft is kept: the id of the conversation or of the root of a thread. */
  readonly place: string
  readonly threadRoot?: string
  readonly to: string
  readonly members: ReadonlyArray<Member>
  readonly writing: Writing
  readonly onWriting: (writing: Writing) => void
  readonly onSend: (body: string, options: SendOptions) => void
  /** Called when the user wants to edit the last message. */
  readonly onEditLast?: () => void
  readonly ref?: Ref<ComposerHandle>
}

/** What is being written, and what becomes of it. */
const useMessage = ({ conversationId, onSend, onWriting, place, threadRoot, writing }: ComposerProps) => {
  const conversation = useChat().conversation(conversationId)
  const form = useRef<HTMLFormElement>(null)
  const chosen = useFiles(place, form)
  const [previewed, setPreviewed] = useState(false)
  const editing = writing.kind === "edit" ? writing.message : null
  const { body, failed, forget, fresh, write } = useBody(place, editing, useTyping(conversationId))
  const latest = useRef({ fresh, writing })
  latest.current = { fresh, writing }
  const about: Pick<SendOptions, "replyTo" | "threadRoot"> = {
    ...(writing.kind === "reply" && { replyTo: writing.message.id }),
    ...(threadRoot !== undefined && { threadRoot })
  }
  const leave = () => {
    setPreviewed(false)
    onWriting({ kind: "new" })
  }
  const stop = () => {
    if (editing !== null) forget(editing.id)
    leave()
  }
  const clear = () => {
    write("")
    stop()
  }
  const files = editing === null ? chosen.files : []
  const isReady = (body.trim() !== "" || files.length > 0) && body.length <= maxLength
  const submit = () => {
    if (!isReady) return
    if (editing === null) {
      const attachments = files.map(({ content, name }) => ({ name, bytes: content }))
      onSend(body.trim() === "" ? "" : body, { ...about, ...(files.length > 0 && { attachments }) })
      chosen.clear()
      return clear()
    }
    if (body === editing.body) return stop()
    // What was written is kept until the service has it. When that fails, it comes back at once if nothing else is being
    // written, and otherwise with the next edit of the message.
    const messageId = editing.id
    const edited = conversation.edit(messageId, body)
    attempt(edited)
    edited.then(
      () => forget(messageId, body),
      () => {
        failed(messageId, body)
        const { fresh, writing } = latest.current
        if (writing.kind === "new" && fresh === "") onWriting({ kind: "edit", message: editing })
      }
    )
    leave()
  }
  return {
    about,
    body,
    files,
    form,
    isNew: editing === null,
    isReady,
    previewed,
    clear,
    setPreviewed,
    stop,
    submit,
    write,
    addFiles: chosen.add,
    removeFile: chosen.remove,
    onPaste: editing === null ? chosen.onPaste : undefined
  }
}

/** Where messages are written. What was begun is kept until it is sent, also over a reload. */
export const Composer = (props: ComposerProps) => {
  const { conversationId, members, onEditLast, onSend, ref, to, writing } = props
  const area = useRef<HTMLTextAreaElement>(null)
  const message = useMessage(props)
  const { about, body, clear, files, isNew, isReady, previewed, setPreviewed, stop, submit, write } = message
  useHeight(area, body)
  useLostFocus(area)
  useImperativeHandle(ref, () => ({ focus: () => area.current?.focus() }), [])
  const completion = useCompletion({ area, body, members, onComplete: write })
  const onKeyDown = (event: KeyboardEvent) => {
    if (isComposing(event)) return
    if (completion.onKeyDown(event)) return
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault()
      submit()
    } else if (event.key === "Escape" && writing.kind !== "new") {
      event.stopPropagation()
      stop()
    } else if (event.key === "ArrowUp" && body === "" && isNew) {
      onEditLast?.()
    }
  }
  return (
    <form
      ref={message.form}
      className="composer"
      onSubmit={(event) => {
        event.preventDefault()
        submit()
      }}
    >
      <About writing={writing} onCancel={stop} />
      <Completion completion={completion} />
      <div className="box">
        <textarea
          ref={area}
          rows={1}
          dir="auto"
          aria-label={text.writeMessage(to)}
          placeholder={text.writeMessage(to)}
          hidden={previewed}
          value={body}
          onChange={(event) => write(event.target.value)}
          onKeyDown={onKeyDown}
          onPaste={message.onPaste}
          {...completion.attributes}
        />
        {previewed && (
          <section className="preview" aria-label={text.preview}>
            <Markdown body={body} />
          </section>
        )}
        {files.length > 0 && <ChosenFiles files={files} onRemove={message.removeFile} />}
        <ComposerTools
          hasFiles={files.length > 0}
          onFiles={message.addFiles}
          area={area}
          body={body}
          conversationId={conversationId}
          isNew={isNew}
          isReady={isReady}
          left={maxLength - body.length}
          options={about}
          previewed={previewed}
          onPreview={setPreviewed}
          onScheduled={clear}
          onSend={onSend}
          onWrite={write}
        />
      </div>
    </form>
  )
}
