import { AtSign, BellOff, Pin } from "lucide-react"
import { memo } from "react"
import { draftOf } from "../chat/drafts.ts"
import { useUser } from "../chat/people.tsx"
import { openConversation } from "../chat/route.ts"
import type { ConversationState } from "../chat/types.ts"
import { shortTime } from "../text/format.ts"
import { summaryOf } from "../text/summary.ts"
import { text } from "../text/text.ts"
import { Avatar } from "../ui/Avatar.tsx"
import { Badge } from "../ui/Badge.tsx"
import { titleOf, usePresenceOf } from "./titles.ts"

/** Whether a conversation is muted now. */
export const isMuted = (mutedUntil: string | null) => mutedUntil !== null && Date.parse(mutedUntil) > Date.now()

const Preview = ({ me, state }: { readonly state: ConversationState; readonly me: string }) => {
  const { conversation, typing } = state
  const { id, kind, lastMessage } = conversation
  const writer = useUser([...typing][0])
  const sender = useUser(kind === "group" ? lastMessage?.senderId : undefined)
  if (typing.size > 0) return <span className="typing">{text.typing(writer?.displayName ?? text.someone)}</span>
  const draft = draftOf(id)
  if (draft !== "")
    return (
      <>
        <span className="draft">{text.draft}: </span>
        {draft}
      </>
    )
  if (lastMessage === null) return text.noMessage
  const from = lastMessage.senderId === me ? `${text.you}: ` : sender === undefined ? "" : `${sender.displayName}: `
  return `${from}${summaryOf(lastMessage)}`
}

/** One conversation in the list. */
export const ConversationRow = memo(
  ({ me, selected, state }: { readonly state: ConversationState; readonly selected: boolean; readonly me: string }) => {
    const { conversation } = state
    const { id, lastActivityAt, me: mine, peer } = conversation
    const presence = usePresenceOf(peer?.id)
    const muted = isMuted(mine.mutedUntil)
    const title = titleOf(conversation)
    return (
      <button
        type="button"
        className={`row ${mine.unreadCount > 0 && !muted ? "unread" : ""}`}
        aria-current={selected ? "page" : undefined}
        onClick={() => openConversation(id)}
      >
        <Avatar
          id={peer?.id ?? id}
          name={title}
          src={peer?.avatarUrl ?? conversation.avatarUrl}
          presence={presence?.status}
        />
        <span className="row-title">
          <bdi>{title}</bdi>
          {muted && <BellOff role="img" aria-label={text.muted} />}
          {mine.pinned && <Pin role="img" aria-label={text.pinned} />}
        </span>
        <time dateTime={lastActivityAt}>{shortTime(lastActivityAt)}</time>
        <span className="row-preview" dir="auto">
          <Preview state={state} me={me} />
        </span>
        <span className="row-counts">
          {mine.mentionCount > 0 && (
            <span className="badge mention">
              <AtSign role="img" aria-label={text.mentioned} />
            </span>
          )}
          {mine.unreadCount > 0 && (
            <Badge count={mine.unreadCount} label={text.unread(mine.unreadCount)} quiet={muted} />
          )}
        </span>
      </button>
    )
  }
)
