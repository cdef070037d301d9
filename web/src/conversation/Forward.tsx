import { useChat } from "chat-service/client/react"
import { useState } from "react"
import { randomId } from "../chat/ids.ts"
import type { Conversation, Message } from "../chat/types.ts"
import { ConversationPicker } from "../sidebar/ConversationPicker.tsx"
import { titleOf } from "../sidebar/titles.ts"
import { text } from "../text/text.ts"
import { attempt, notify } from "../ui/notices.tsx"

/** Sends a copy of a message to another conversation. */
const Forward = ({ message, onClose }: { readonly message: Message; readonly onClose: () => void }) => {
  const chat = useChat()
  const [clientMessageId] = useState(randomId)
  const forward = async (to: Conversation) => {
    const { conversationId, id: messageId } = message
    await chat.ask("message.forward", { conversationId, messageId, toConversationId: to.id, clientMessageId })
    notify(text.forwarded(titleOf(to)))
  }
  return <ConversationPicker title={text.forwardTo} onClose={onClose} onPick={(to) => attempt(forward(to))} />
}
export default Forward
