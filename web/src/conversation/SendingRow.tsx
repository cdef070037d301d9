import { useChat } from "chat-service/client/react"
import { CircleAlert } from "lucide-react"
import { useUser } from "../chat/people.tsx"
import type { Sending } from "../chat/types.ts"
import { ChosenFiles } from "../files/ChosenFiles.tsx"
import { explain } from "../text/failure.ts"
import { percentOf } from "../text/format.ts"
import { text } from "../text/text.ts"
import { UserAvatar } from "../ui/Avatar.tsx"
import { attempt } from "../ui/notices.tsx"
import { Markdown } from "./Markdown.tsx"
import { ProgressMark } from "./MessageRow.tsx"

/** The part of the files that the service has, from 0 to 1. */
const partOf = (uploaded: Sending["uploaded"]) =>
  uploaded === null || uploaded.size === 0 ? 0 : uploaded.sent / uploaded.size

/** A message of mine that the service has not stored yet, or has refused. */
export const SendingRow = ({ sending: { message, problem, status, uploaded } }: { readonly sending: Sending }) => {
  const chat = useChat()
  const me = useUser(message.senderId)
  const { attachments = [], clientMessageId, conversationId } = message
  const files = attachments.filter((one) => typeof one !== "string")
  const discard = () => attempt(chat.discard(conversationId, clientMessageId))
  return (
    <article className={`message sending ${status}`} aria-label={me?.displayName ?? text.you}>
      <UserAvatar user={me} id={message.senderId} />
      <div className="content">
        <header>
          <strong dir="auto">{me?.displayName}</strong>
        </header>
        {message.body !== "" && (
          <div className="body">
            <Markdown body={message.body} />
          </div>
        )}
        {files.length > 0 && <ChosenFiles files={files} />}
        {files.length > 0 && status === "waiting" && (
          <div className="upload">
            <progress aria-label={text.uploaded(percentOf(partOf(uploaded)))} value={partOf(uploaded)} />
            <button type="button" className="link" onClick={discard}>
              {text.cancel}
            </button>
          </div>
        )}
        {status === "failed" && (
          <p className="error" role="alert">
            <CircleAlert aria-hidden="true" />
            {text.notSent}: {explain(problem)}
            <button type="button" className="link" onClick={() => attempt(chat.retry(conversationId, clientMessageId))}>
              {text.retry}
            </button>
            <button type="button" className="link" onClick={discard}>
              {text.discard}
            </button>
          </p>
        )}
      </div>
      <span className="marks">{status !== "failed" && <ProgressMark progress="waiting" />}</span>
    </article>
  )
}
