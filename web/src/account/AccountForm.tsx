import { type FormEvent, useState } from "react"
import { explain, isTagged } from "../text/failure.ts"
import { text } from "../text/text.ts"
import { Field } from "../ui/Field.tsx"

/** Runs a form, once at a time, and keeps what went wrong. */
export const useForm = (submit: (value: (name: string) => string) => Promise<void>) => {
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const onSubmit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const data = new FormData(event.currentTarget)
    setBusy(true)
    setError(undefined)
    submit((name) => String(data.get(name) ?? "")).catch((failure: unknown) => {
      setBusy(false)
      setError(failure)
    })
  }
  return { busy, error, onSubmit }
}

/** What went wrong with a form. */
export const Failure = ({ error }: { readonly error: unknown }) => (
  <p className="error" role="alert">
    {error !== undefined && (isTagged(error, "Unauthenticated") ? text.signInWrong : explain(error))}
  </p>
)

/** The fields that an account has beyond the name of its user. */
export const AccountFields = ({ issues }: { readonly issues: Readonly<Record<string, string>> }) => (
  <>
    <Field
      label={text.username}
      name="username"
      autoComplete="username"
      autoCapitalize="none"
      pattern="[a-z0-9_.\-]+"
      hint={text.usernameHint}
      error={issues.username}
      required
    />
    <Field label={text.email} name="email" type="email" autoComplete="email" required error={issues.email} />
    <Field
      label={text.password}
      name="password"
      type="password"
      autoComplete="new-password"
      minLength={8}
      hint={text.passwordHint}
      error={issues.password}
      required
    />
  </>
)

/** The values of these fields. */
export const accountOf = (value: (name: string) => string) => ({
  username: value("username"),
  email: value("email"),
  password: value("password")
})
