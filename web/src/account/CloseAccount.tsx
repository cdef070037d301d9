import { useChat } from "chat-service/client/react"
import { useState } from "react"
import { forgetSession } from "../chat/session.ts"
import { explain, isTagged } from "../text/failure.ts"
import { text } from "../text/text.ts"
import { Field } from "../ui/Field.tsx"

/** Deletes my account, after the password was given again. Guests have none. */
export const CloseAccount = ({ isGuest }: { readonly isGuest: boolean }) => {
  const chat = useChat()
  const [error, setError] = useState<string | null>(null)
  const close = async (password: string) => {
    await chat.ask("user.delete", isGuest ? {} : { password })
    await chat.forget()
    forgetSession()
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault()
        const password = String(new FormData(event.currentTarget).get("password"))
        close(password).catch((failure: unknown) =>
          setError(isTagged(failure, "Forbidden") ? text.passwordWrong : explain(failure))
        )
      }}
    >
      <p>{text.closeAccountHint}</p>
      {!isGuest && (
        <Field label={text.password} name="password" type="password" autoComplete="current-password" required />
      )}
      <p className="error" role="alert">
        {error}
      </p>
      <footer>
        <button type="submit" className="button danger">
          {text.closeAccount}
        </button>
      </footer>
    </form>
  )
}
