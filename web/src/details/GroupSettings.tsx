import { useChat } from "chat-service/client/react"
import type { Conversation } from "../chat/types.ts"
import { text } from "../text/text.ts"
import { Field } from "../ui/Field.tsx"
import { attempt } from "../ui/notices.tsx"

/** What owners and admins can change about a group. */
export const GroupSettings = ({ conversation: { id, title } }: { readonly conversation: Conversation }) => {
  const chat = useChat()
  return (
    <form
      className="inline-form"
      onSubmit={(event) => {
        event.preventDefault()
        const next = String(new FormData(event.currentTarget).get("title"))
        attempt(chat.ask("conversation.update", { conversationId: id, title: next }))
      }}
    >
      <Field key={title} label={text.groupName} name="title" defaultValue={title ?? ""} maxLength={200} required />
      <button type="submit" className="button">
        {text.save}
      </button>
    </form>
  )
}
