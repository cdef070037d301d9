import { useChat, useChatState } from "chat-service/client/react"
import { Ellipsis, LogOut, MessageSquare, Shield, UserMinus, UserPlus } from "lucide-react"
import { useState } from "react"
import { useMembers } from "../chat/members.tsx"
import { goTo, openConversation } from "../chat/route.ts"
import type { Conversation, Member, Role, User } from "../chat/types.ts"
import { UserPicker } from "../sidebar/UserPicker.tsx"
import { text } from "../text/text.ts"
import { UserAvatar } from "../ui/Avatar.tsx"
import { Dialog } from "../ui/Dialog.tsx"
import { KindTag } from "../ui/KindTag.tsx"
import { Menu, type MenuEntry } from "../ui/Menu.tsx"
import { attempt } from "../ui/notices.tsx"
import Question from "../ui/Question.tsx"

const roles: Readonly<Record<Role, string>> = {
  owner: text.owner,
  admin: text.admin,
  member: text.member
}

const makeRole: Readonly<Record<Role, string>> = {
  owner: text.makeOwner,
  admin: text.makeAdmin,
  member: text.makeMember
}

const MemberRow = ({ conversation, member }: { readonly conversation: Conversation; readonly member: Member }) => {
  const chat = useChat()
  const { id: conversationId, me } = conversation
  const { role, user } = member
  const isMe = user.id === chat.userId
  const isGuest = useChatState((state) => state.me?.kind === "guest")
  const place = { conversationId, userId: user.id }
  const give = (next: Role): MenuEntry | undefined =>
    me.role === "owner" && role !== next
      ? {
          label: makeRole[next],
          icon: <Shield />,
          onSelect: () => attempt(chat.ask("member.update", { ...place, role: next }))
        }
      : undefined
  const mayRemove = me.role === "owner" || (me.role === "admin" && role === "member")
  const talk = async () => {
    const { id } = await chat.ask("conversation.create", { kind: "dm", userId: user.id })
    openConversation(id)
  }
  const entries: ReadonlyArray<MenuEntry | undefined> = [
    // Guests may start nothing.
    isGuest ? undefined : { label: text.startDirect, icon: <MessageSquare />, onSelect: () => attempt(talk()) },
    give("owner"),
    give("admin"),
    give("member"),
    mayRemove
      ? {
          label: text.removeMember,
          icon: <UserMinus />,
          danger: true,
          onSelect: () => attempt(chat.ask("member.remove", place))
        }
      : undefined
  ]
  return (
    <li className="member">
      <UserAvatar user={user} id={user.id} size="small" />
      <bdi>{user.displayName}</bdi>
      <KindTag user={user} />
      {isMe && <span className="hint">({text.you})</span>}
      {role !== "member" && <span className="tag">{roles[role]}</span>}
      {!isMe && entries.some((entry) => entry !== undefined) && (
        <Menu label={`${text.more}: ${user.displayName}`} entries={entries}>
          <Ellipsis />
        </Menu>
      )}
    </li>
  )
}

const AddMembers = ({
  conversationId,
  members,
  onClose
}: {
  readonly conversationId: string
  readonly members: ReadonlyArray<Member>
  readonly onClose: () => void
}) => {
  const chat = useChat()
  const [chosen, setChosen] = useState<ReadonlyArray<User>>([])
  const add = () => chat.ask("member.add", { conversationId, userIds: chosen.map(({ id }) => id) }).then(onClose)
  return (
    <Dialog title={text.addMembers} onClose={onClose}>
      <UserPicker chosen={chosen} onChange={setChosen} without={new Set(members.map(({ user }) => user.id))} />
      <footer>
        <button type="button" className="button primary" disabled={chosen.length === 0} onClick={() => attempt(add())}>
          {text.add}
        </button>
      </footer>
    </Dialog>
  )
}

/** Who is in a group, and what the user may do about it. */
export const Members = ({ conversation }: { readonly conversation: Conversation }) => {
  const chat = useChat()
  const { hasMore, members, more } = useMembers()
  const [adding, setAdding] = useState(false)
  const [leaving, setLeaving] = useState(false)
  const { id: conversationId, me, memberCount } = conversation
  return (
    <section>
      <h3>{text.members(memberCount)}</h3>
      {me.role !== "member" && (
        <button type="button" className="user" onClick={() => setAdding(true)}>
          <UserPlus aria-hidden="true" />
          {text.addMembers}
        </button>
      )}
      <ul>
        {members.map((member) => (
          <MemberRow key={member.user.id} conversation={conversation} member={member} />
        ))}
      </ul>
      {hasMore && (
        <button type="button" className="link" onClick={more}>
          {text.loadMore}
        </button>
      )}
      <button type="button" className="user danger" onClick={() => setLeaving(true)}>
        <LogOut aria-hidden="true" />
        {text.leave}
      </button>
      {adding && <AddMembers conversationId={conversationId} members={members} onClose={() => setAdding(false)} />}
      {leaving && (
        <Question
          title={text.leaveQuestion}
          hint={text.leaveHint}
          action={text.leave}
          onClose={() => setLeaving(false)}
          onConfirm={() => attempt(chat.ask("member.leave", { conversationId }).then(() => goTo({ name: "home" })))}
        />
      )}
    </section>
  )
}
