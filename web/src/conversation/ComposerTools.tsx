import type { FileSource, SendOptions } from "chat-service/client"
import { useChat } from "chat-service/client/react"
import { CalendarClock, ChartBarDecreasing, Eye, Mic, Paperclip, PencilLine, SendHorizontal, Smile } from "lucide-react"
import { lazy, type RefObject, Suspense, useRef, useState } from "react"
import { momentOf } from "../text/format.ts"
import { text } from "../text/text.ts"
import { IconButton } from "../ui/Button.tsx"
import { notify } from "../ui/notices.tsx"

const EmojiPicker = lazy(() => import("../emoji/EmojiPicker.tsx"))
const NewPoll = lazy(() => import("./NewPoll.tsx"))
const VoiceNote = lazy(() => import("./VoiceNote.tsx"))
const SendLater = lazy(() => import("./SendLater.tsx"))

/** Pages over plain http may not use the microphone. */
const canRecord = "mediaDevices" in navigator && "MediaRecorder" in window

/** The number of characters that are left is shown from here on. */
const fewLeft = 500

interface ComposerToolsProps {
  readonly area: RefObject<HTMLTextAreaElement | null>
  readonly body: string
  readonly conversationId: string
  /** Whether something new is written, and not a message changed. */
  readonly isNew: boolean
  readonly isReady: boolean
  readonly hasFiles: boolean
  readonly onFiles: (files: Iterable<File>) => void
  /** How many characters may still be written. */
  readonly left: number
  /** What the message answers. */
  readonly options: Pick<SendOptions, "replyTo" | "threadRoot">
  readonly previewed: boolean
  readonly onPreview: (previewed: boolean) => void
  readonly onScheduled: () => void
  readonly onSend: (body: string, options: SendOptions) => void
  readonly onWrite: (body: string) => void
}

/** Chooses files of this device. */
const FileButton = ({ onFiles }: Pick<ComposerToolsProps, "onFiles">) => {
  const input = useRef<HTMLInputElement>(null)
  return (
    <>
      <input
        ref={input}
        type="file"
        multiple
        hidden
        aria-label={text.files}
        onChange={({ target }) => {
          onFiles(target.files ?? [])
          // The same file can be chosen again.
          target.value = ""
        }}
      />
      <IconButton label={text.attach} onClick={() => input.current?.click()}>
        <Paperclip />
      </IconButton>
    </>
  )
}

type Tool = "emoji" | "poll" | "later" | "voice"

/** What can be done with the text that is being written, and what can be sent besides it. */
export const ComposerTools = (props: ComposerToolsProps) => {
  const { area, body, conversationId, hasFiles, isNew, isReady, left, options, previewed } = props
  const chat = useChat()
  const emoji = useRef<HTMLButtonElement>(null)
  const [tool, setTool] = useState<Tool | null>(null)
  const close = () => {
    setTool(null)
    area.current?.focus()
  }
  const insert = (emoji: string) => {
    const { selectionEnd = body.length, selectionStart = body.length } = area.current ?? {}
    props.onWrite(body.slice(0, selectionStart) + emoji + body.slice(selectionEnd))
    const after = selectionStart + emoji.length
    requestAnimationFrame(() => area.current?.setSelectionRange(after, after))
  }
  const schedule = async (sendAt: string, idempotencyKey: string) => {
    await chat.ask("scheduled.create", { conversationId, body, sendAt, idempotencyKey, ...options })
    props.onScheduled()
    notify(text.scheduledFor(momentOf(sendAt)))
  }
  if (tool === "voice") {
    const send = (file: FileSource) => props.onSend("", { ...options, type: "audio", attachments: [file] })
    return (
      <Suspense>
        <VoiceNote onClose={close} onSend={send} />
      </Suspense>
    )
  }
  return (
    <div className="tools">
      {isNew && <FileButton onFiles={props.onFiles} />}
      <IconButton ref={emoji} label={text.emoji} onClick={() => setTool("emoji")}>
        <Smile />
      </IconButton>
      {isNew && (
        <IconButton label={text.newPoll} onClick={() => setTool("poll")}>
          <ChartBarDecreasing />
        </IconButton>
      )}
      {isNew && !isReady && canRecord && (
        <IconButton label={text.recordVoiceNote} onClick={() => setTool("voice")}>
          <Mic />
        </IconButton>
      )}
      <span className="spacer" />
      {left < fewLeft && <span className={left < 0 ? "error" : "hint"}>{left}</span>}
      {body.trim() !== "" && (
        <IconButton label={text.preview} aria-pressed={previewed} onClick={() => props.onPreview(!previewed)}>
          {previewed ? <PencilLine /> : <Eye />}
        </IconButton>
      )}
      {isReady && isNew && !hasFiles && (
        <IconButton label={text.sendLater} onClick={() => setTool("later")}>
          <CalendarClock />
        </IconButton>
      )}
      <IconButton label={text.send} type="submit" className="send" disabled={!isReady}>
        <SendHorizontal className="directed" />
      </IconButton>
      <Suspense>
        {tool === "emoji" && <EmojiPicker anchor={emoji} onClose={close} onPick={insert} />}
        {tool === "poll" && (
          <NewPoll
            onClose={close}
            onSend={(payload) => props.onSend(payload.question, { ...options, type: "poll", payload })}
          />
        )}
        {tool === "later" && <SendLater onClose={close} onChoose={schedule} />}
      </Suspense>
    </div>
  )
}
