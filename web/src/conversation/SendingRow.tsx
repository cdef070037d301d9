import { useChat } from "chat-service/client/react"
import { CircleAlert } from "lucide-react"
import { useUser } from "../chat/people.tsx"
import type { Sending } from "../chat/types.ts"
import { explain } from "../text/failure.ts"
import { text } from "../text/text.ts"
import { UserAvatar } from "../ui/Avatar.tsx"
import { attempt } from "../ui/notices.tsx"
import { Markdown } from "./Markdown.tsx"
import { ProgressMark } from "./MessageRow.tsx"

/** A message of mine that the service has not stored yet, or has refused. */
export const SendingRow = ({ sending: { message, problem, status } }: { readonly sending: Sending }) => {
  const chat = useChat()
  const me = useUser(message.senderId)
  const { clientMessageId, conversationId } = message
  return (
    <article className={`message sending ${status}`} aria-label={me?.displayName ?? text.you}>
      <UserAvatar user={me} id={message.senderId} />
      <div className="content">
        <header>
          <strong dir="auto">{me?.displayName}</strong>
        </header>
        <div className="body">
          <Markdown body={message.body} />
        </div>
        {status === "failed" && (
          <p className="error" role="alert">
            <CircleAlert aria-hidden="true" />
            {text.notSent}: {explain(problem)}
            <button type="button" className="link" onClick={() => attempt(chat.retry(conversationId, clientMessageId))}>
              {text.retry}
            </button>
            <button
              type="button"
              className="link"
              onClick={() => attempt(chat.discard(conversationId, clientMessageId))}
            >
              {text.discard}
            </button>
          </p>
        )}
      </div>
      <span className="marks">{status !== "failed" && <ProgressMark progress="waiting" />}</span>
    </article>
  )
}
