import type { Chat } from "chat-service/client"
import { useChat, useConversation } from "chat-service/client/react"
import {
  CheckCheck,
  Copy,
  CornerUpLeft,
  Ellipsis,
  Forward,
  MessageSquareText,
  Pencil,
  Pin,
  PinOff,
  SmilePlus,
  Star,
  StarOff,
  Trash2
} from "lucide-react"
import { lazy, Suspense, useRef, useState } from "react"
import type { Conversation, Message } from "../chat/types.ts"
import { text } from "../text/text.ts"
import { IconButton } from "../ui/Button.tsx"
import { Menu, type MenuEntry } from "../ui/Menu.tsx"
import { attempt } from "../ui/notices.tsx"
import type { Asking } from "./MessageDialog.tsx"

const EmojiPicker = lazy(() => import("../emoji/EmojiPicker.tsx"))

/** What the messages of a list can ask the list to do. The functions stay the same as long as the list is shown. */
export interface Actions {
  readonly reply: (message: Message) => void
  readonly edit: (message: Message) => void
  /** Opens a dialog about a message. */
  readonly ask: (asking: Asking) => void
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

interface About extends Pick<MessageActionsProps, "actions" | "message" | "mine" | "starred"> {
  readonly chat: Chat
}

/** The entries of the menu: what I may do with a message in this conversation. */
const entriesOf = (
  { actions, chat, message, mine, starred }: About,
  state: Conversation | undefined
): ReadonlyArray<MenuEntry | undefined> => {
  const { id, pinned } = message
  const conversation = chat.conversation(message.conversationId)
  const inThread = message.threadRootId !== null
  const isGroup = state?.kind === "group"
  const leads = !isGroup || state.me.role !== "member"
  return [
    mine && message.type !== "poll"
      ? { label: text.edit, icon: <Pencil />, onSelect: () => actions.edit(message) }
      : undefined,
    {
      label: text.copy,
      icon: <Copy />,
      onSelect: () => attempt(copy(message.body))
    },
    {
      label: text.forward,
      icon: <Forward className="directed" />,
      onSelect: () => actions.ask({ about: "forward", message })
    },
    leads
      ? {
          label: pinned ? text.unpin : text.pin,
          icon: pinned ? <PinOff /> : <Pin />,
          onSelect: () => attempt(pinned ? conversation.unpin(id) : conversation.pin(id))
        }
      : undefined,
    {
      label: starred ? text.unsave : text.saveMessage,
      icon: starred ? <StarOff /> : <Star />,
      onSelect: () => attempt(starred ? conversation.unstar(id) : conversation.star(id))
    },
    mine && !inThread
      ? { label: text.readBy, icon: <CheckCheck />, onSelect: () => actions.ask({ about: "readers", message }) }
      : undefined,
    mine || (isGroup && leads)
      ? {
          label: text.delete,
          icon: <Trash2 />,
          danger: true,
          onSelect: () => actions.ask({ about: "removal", message })
        }
      : undefined
  ]
}

/** What can be done with one message. */
const MessageActions = ({ actions, message, mine, onHold, starred }: MessageActionsProps) => {
  const chat = useChat()
  const { id } = message
  const conversation = chat.conversation(message.conversationId)
  const inThread = message.threadRootId !== null
  const more = useRef<HTMLButtonElement>(null)
  const [picking, setPicking] = useState(false)
  const pick = (open: boolean) => {
    setPicking(open)
    onHold(open)
  }
  const state = useConversation(message.conversationId)?.conversation
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
      <IconButton ref={more} label={text.moreEmoji} onClick={() => pick(true)}>
        <SmilePlus />
      </IconButton>
      {picking && (
        <Suspense>
          <EmojiPicker
            anchor={more}
            onClose={() => pick(false)}
            onPick={(emoji) => attempt(conversation.react(id, emoji))}
          />
        </Suspense>
      )}
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
        entries={entriesOf({ actions, chat, message, mine, starred }, state)}
      >
        <Ellipsis />
      </Menu>
    </div>
  )
}
export default MessageActions
