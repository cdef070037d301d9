import { useChat } from "chat-service/client/react"
import type { Message } from "../chat/types.ts"
import { text } from "../text/text.ts"
import { attempt } from "../ui/notices.tsx"
import Question from "../ui/Question.tsx"

/** Asks before a message is deleted for everybody. */
const Removal = ({ message, onClose }: { readonly message: Message; readonly onClose: () => void }) => {
  const conversation = useChat().conversation(message.conversationId)
  return (
    <Question
      title={text.deleteQuestion}
      hint={text.deleteHint}
      action={text.delete}
      onClose={onClose}
      onConfirm={() => attempt(conversation.delete(message.id))}
    />
  )
}
export default Removal
