import { useChat } from "chat-service/client/react"
import { useState } from "react"
import { randomId } from "../chat/ids.ts"
import { openConversation } from "../chat/route.ts"
import type { User } from "../chat/types.ts"
import { explain } from "../text/failure.ts"
import { text } from "../text/text.ts"
import { Dialog } from "../ui/Dialog.tsx"
import { Field } from "../ui/Field.tsx"
import { UserPicker } from "./UserPicker.tsx"

/** Starts a direct conversation with one person, or a group with a name. */
const NewConversation = ({ onClose }: { readonly onClose: () => void }) => {
  const chat = useChat()
  const [chosen, setChosen] = useState<ReadonlyArray<User>>([])
  const [title, setTitle] = useState("")
  const [error, setError] = useState<string | null>(null)
  const [key] = useState(randomId)
  const [only] = chosen
  const isDirect = chosen.length === 1 && title.trim() === "" && only !== undefined
  const start = async () => {
    const { id } = await chat.ask(
      "conversation.create",
      isDirect
        ? { kind: "dm", userId: only.id }
        : { kind: "group", title: title.trim(), memberIds: chosen.map((user) => user.id), idempotencyKey: key }
    )
    onClose()
    openConversation(id)
  }
  return (
    <Dialog title={text.newConversation} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          start().catch((failure: unknown) => setError(explain(failure)))
        }}
      >
        <UserPicker chosen={chosen} onChange={setChosen} />
        <Field
          label={text.groupName}
          value={title}
          required={chosen.length !== 1}
          maxLength={200}
          onChange={(event) => setTitle(event.target.value)}
        />
        <p className="error" role="alert">
          {error}
        </p>
        <footer>
          <button type="button" className="button" onClick={onClose}>
            {text.cancel}
          </button>
          <button type="submit" className="button primary" disabled={chosen.length === 0 && title.trim() === ""}>
            {isDirect ? text.startDirect : text.startGroup}
          </button>
        </footer>
      </form>
    </Dialog>
  )
}
export default NewConversation
