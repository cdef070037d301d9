import { useChat, useConversation } from "chat-service/client/react"
import { useEffect } from "react"
import { useMembers } from "../chat/members.tsx"
import type { Message } from "../chat/types.ts"
import { text } from "../text/text.ts"
import { UserAvatar } from "../ui/Avatar.tsx"
import { Dialog } from "../ui/Dialog.tsx"

/** Who has read a message. */
const ReadBy = ({ message, onClose }: { readonly message: Message; readonly onClose: () => void }) => {
  const me = useChat().userId
  const { hasMore, members, more } = useMembers()
  // Everybody counts here, also in a large group.
  // biome-ignore lint/correctness/useExhaustiveDependencies: each page asks for the next one
  useEffect(more, [members])
  const read = useConversation(message.conversationId)?.read
  const readers = members.filter(
    ({ readSeq, user }) => user.id !== me && Math.max(readSeq, read?.get(user.id) ?? 0) >= message.seq
  )
  return (
    <Dialog title={text.readBy} onClose={onClose}>
      <ul>
        {readers.map(({ user }) => (
          <li key={user.id} className="member">
            <UserAvatar user={user} id={user.id} size="small" />
            <bdi>{user.displayName}</bdi>
          </li>
        ))}
      </ul>
      {(hasMore || readers.length === 0) && (
        <p className="hint" role="status">
          {hasMore ? text.loading : text.readByNobody}
        </p>
      )}
    </Dialog>
  )
}
export default ReadBy
