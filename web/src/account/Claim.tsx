import { useChat } from "chat-service/client/react"
import { usePeople } from "../chat/people.tsx"
import { issuesOf } from "../text/failure.ts"
import { text } from "../text/text.ts"
import { notify } from "../ui/notices.tsx"
import { AccountFields, accountOf, Failure, useForm } from "./AccountForm.tsx"

/** Makes an account of a guest. */
export const Claim = ({ onDone }: { readonly onDone: () => void }) => {
  const chat = useChat()
  const people = usePeople()
  const { busy, error, onSubmit } = useForm(async (value) => {
    people.add([await chat.claim(accountOf(value))])
    notify(text.claimed)
    onDone()
  })
  return (
    <form onSubmit={onSubmit}>
      <p>{text.claimHint}</p>
      <AccountFields issues={issuesOf(error)} />
      <Failure error={error} />
      <footer>
        <button type="submit" className="button primary" disabled={busy}>
          {text.claim}
        </button>
      </footer>
    </form>
  )
}
