import { useChat } from "chat-service/client/react"
import {
  CheckCheck,
  Copy,
  CornerUpLeft,
  Ellipsis,
  MessageSquareText,
  Pencil,
  Pin,
  PinOff,
  Star,
  StarOff,
  Trash2
} from "lucide-react"
import type { Message } from "../chat/types.ts"
import { text } from "../text/text.ts"
import { IconButton } from "../ui/Button.tsx"
import { Menu } from "../ui/Menu.tsx"
import { attempt } from "../ui/notices.tsx"

/** What the messages of a list can ask the list to do. The functions stay the same as long as the list is shown. */
export interface Actions {
  readonly reply: (message: Message) => void
  readonly edit: (message: Message) => void
  readonly remove: (message: Message) => void
  /** Shows who has read it; left out where that cannot be shown, such as in a thread. */
  readonly showReaders?: (message: Message) => void
  readonly openThread?: (message: Message) => void
  /** Shows the message with a `seq` in its place. */
  readonly show: (seq: number) => void
}

const quick = ["👍", "❤️", "😂"]

/** Pages over plain http may not use the clipboard. */
const copy = async (body: string) => navigator.clipboard.writeText(body)

interface MessageActionsProps {
  readonly message: Message
  readonly mine: boolean
  readonly starred: boolean
  readonly actions: Actions
  /** Says whether the menu is open, so that the actions stay meanwhile. */
  readonly onHold: (open: boolean) => void
}

/** What can be done with one message. */
const MessageActions = ({ actions, message, mine, onHold, starred }: MessageActionsProps) => {
  const chat = useChat()
  const { id, pinned } = message
  const conversation = chat.conversation(message.conversationId)
  const inThread = message.threadRootId !== null
  return (
    <div className="actions" role="toolbar" aria-label={text.messageActions}>
      {quick.map((emoji) => (
        <IconButton
          key={emoji}
          className="quick"
          label={text.addReaction(emoji)}
          onClick={() => attempt(conversation.react(id, emoji))}
        >
          {emoji}
        </IconButton>
      ))}
      <IconButton label={text.reply} onClick={() => actions.reply(message)}>
        <CornerUpLeft />
      </IconButton>
      {!inThread && actions.openThread && (
        <IconButton label={text.replyInThread} onClick={() => actions.openThread?.(message)}>
          <MessageSquareText />
        </IconButton>
      )}
      <Menu
        label={text.more}
        onOpenChange={onHold}
        entries={[
          mine ? { label: text.edit, icon: <Pencil />, onSelect: () => actions.edit(message) } : undefined,
          {
            label: text.copy,
            icon: <Copy />,
            onSelect: () => attempt(copy(message.body))
          },
          {
            label: pinned ? text.unpin : text.pin,
            icon: pinned ? <PinOff /> : <Pin />,
            onSelect: () => attempt(pinned ? conversation.unpin(id) : conversation.pin(id))
          },
          {
            label: starred ? text.unsave : text.saveMessage,
            icon: starred ? <StarOff /> : <Star />,
            onSelect: () => attempt(starred ? conversation.unstar(id) : conversation.star(id))
          },
          mine && !inThread && actions.showReaders
            ? { label: text.readBy, icon: <CheckCheck />, onSelect: () => actions.showReaders?.(message) }
            : undefined,
          { label: text.delete, icon: <Trash2 />, danger: true, onSelect: () => actions.remove(message) }
        ]}
      >
        <Ellipsis />
      </Menu>
    </div>
  )
}
export default MessageActions
