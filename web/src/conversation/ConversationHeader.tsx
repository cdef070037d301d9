import { useConversation } from "chat-service/client/react"
import { ArrowLeft, PanelRight, Pin } from "lucide-react"
import { useUser } from "../chat/people.tsx"
import { goTo, openPanel } from "../chat/route.ts"
import type { Conversation } from "../chat/types.ts"
import { titleOf, usePresenceOf } from "../sidebar/titles.ts"
import { ago } from "../text/format.ts"
import { text } from "../text/text.ts"
import { Avatar } from "../ui/Avatar.tsx"
import { IconButton } from "../ui/Button.tsx"

const statusText: Readonly<Record<string, () => string>> = {
  online: () => text.online,
  away: () => text.away,
  dnd: () => text.dnd,
  offline: () => text.offlineStatus
}

const Status = ({ conversation }: { readonly conversation: Conversation }) => {
  const typing = useConversation(conversation.id)?.typing
  const writer = useUser(typing === undefined ? undefined : [...typing][0])
  const presence = usePresenceOf(conversation.peer?.id)
  if (typing !== undefined && typing.size > 0)
    return (
      <span className="typing">
        {typing.size > 1 ? text.severalTyping : text.typing(writer?.displayName ?? text.someone)}
      </span>
    )
  if (conversation.kind === "group") return <span>{text.members(conversation.memberCount)}</span>
  if (presence === undefined) return null
  return (
    <span>
      {presence.status === "offline" && presence.lastSeenAt !== null
        ? text.lastSeen(ago(presence.lastSeenAt))
        : statusText[presence.status]?.()}
    </span>
  )
}

/** With whom one talks, and what they are doing. */
export const ConversationHeader = ({ conversation }: { readonly conversation: Conversation | undefined }) => {
  const presence = usePresenceOf(conversation?.peer?.id)
  return (
    <header className="conversation-header">
      <IconButton className="to-list" label={text.back} onClick={() => goTo({ name: "home" })}>
        <ArrowLeft className="directed" />
      </IconButton>
      {conversation !== undefined && (
        <>
          <Avatar
            id={conversation.peer?.id ?? conversation.id}
            name={titleOf(conversation)}
            src={conversation.peer?.avatarUrl ?? conversation.avatarUrl}
            presence={presence?.status}
          />
          <div className="heading">
            <h1 dir="auto">{titleOf(conversation)}</h1>
            <Status conversation={conversation} />
          </div>
          <IconButton label={text.pinnedMessages} onClick={() => openPanel(conversation.id, { kind: "pins" })}>
            <Pin />
          </IconButton>
          <IconButton label={text.details} onClick={() => openPanel(conversation.id, { kind: "details" })}>
            <PanelRight className="directed" />
          </IconButton>
        </>
      )}
    </header>
  )
}
