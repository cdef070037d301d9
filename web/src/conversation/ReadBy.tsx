import { useChat, useConversation } from "chat-service/client/react"
import type { Message } from "../chat/types.ts"
import { text } from "../text/text.ts"
import { UserAvatar } from "../ui/Avatar.tsx"
import { Dialog } from "../ui/Dialog.tsx"
import { useMembers } from "./useMembers.ts"

/** Who has read a message. */
const ReadBy = ({ message, onClose }: { readonly message: Message; readonly onClose: () => void }) => {
  const me = useChat().userId
  const members = useMembers(message.conversationId)
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
      {readers.length === 0 && <p className="hint">{text.readByNobody}</p>}
    </Dialog>
  )
}
export default ReadBy
