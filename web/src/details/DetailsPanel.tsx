import { useChat, useConversation } from "chat-service/client/react"
import { Archive, Bell, BellOff, Pin, X } from "lucide-react"
import type { ReactNode } from "react"
import { openConversation } from "../chat/route.ts"
import type { Conversation } from "../chat/types.ts"
import { isMuted } from "../sidebar/ConversationRow.tsx"
import { titleOf } from "../sidebar/titles.ts"
import { text } from "../text/text.ts"
import { Avatar } from "../ui/Avatar.tsx"
import { IconButton } from "../ui/Button.tsx"
import { attempt } from "../ui/notices.tsx"
import { Blocking } from "./Blocking.tsx"
import { GroupSettings } from "./GroupSettings.tsx"
import { Invites } from "./Invites.tsx"
import { Members } from "./Members.tsx"

/** Far enough away to be for ever. */
const forever = "9999-01-01T00:00:00.000Z"

const Toggle = ({
  icon,
  label,
  onChange,
  pressed
}: {
  readonly icon: ReactNode
  readonly label: string
  readonly pressed: boolean
  readonly onChange: (pressed: boolean) => void
}) => (
  <button type="button" className="toggle" aria-pressed={pressed} onClick={() => onChange(!pressed)}>
    {icon}
    {label}
  </button>
)

/** My own settings of a conversation, which nobody else sees. */
const MySettings = ({ conversation: { id, me } }: { readonly conversation: Conversation }) => {
  const chat = useChat()
  const change = (settings: { mutedUntil?: string | null; archived?: boolean; pinned?: boolean }) =>
    attempt(chat.ask("conversation.settings", { conversationId: id, ...settings }))
  const muted = isMuted(me.mutedUntil)
  return (
    <div className="toggles">
      <Toggle
        icon={muted ? <BellOff aria-hidden="true" /> : <Bell aria-hidden="true" />}
        label={text.mute}
        pressed={muted}
        onChange={(on) => change({ mutedUntil: on ? forever : null })}
      />
      <Toggle
        icon={<Pin aria-hidden="true" />}
        label={text.pin}
        pressed={me.pinned}
        onChange={(pinned) => change({ pinned })}
      />
      <Toggle
        icon={<Archive aria-hidden="true" />}
        label={text.archive}
        pressed={me.archived}
        onChange={(archived) => change({ archived })}
      />
    </div>
  )
}

/** What a conversation is, who is in it, and what I can change about it. */
const DetailsPanel = ({ id }: { readonly id: string }) => {
  const conversation = useConversation(id)?.conversation
  if (conversation === undefined) return null
  const { kind, me, peer } = conversation
  const leads = me.role !== "member"
  const title = titleOf(conversation)
  return (
    <aside className="panel" aria-label={text.details}>
      <header>
        <h2>{text.details}</h2>
        <IconButton label={text.close} onClick={() => openConversation(id)}>
          <X />
        </IconButton>
      </header>
      <div className="panel-body details">
        <div className="profile">
          <Avatar id={peer?.id ?? id} name={title} src={peer?.avatarUrl ?? conversation.avatarUrl} size="large" />
          <strong dir="auto">{title}</strong>
          {peer !== null && <span className="hint">@{peer.username}</span>}
        </div>
        <MySettings conversation={conversation} />
        {kind === "group" ? (
          <>
            {leads && <GroupSettings conversation={conversation} />}
            <Members conversation={conversation} />
            {leads && <Invites conversationId={id} />}
          </>
        ) : (
          peer !== null && <Blocking userId={peer.id} />
        )}
      </div>
    </aside>
  )
}
export default DetailsPanel
