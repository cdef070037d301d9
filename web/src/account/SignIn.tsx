import { Chat } from "chat-service/client"
import { MessagesSquare } from "lucide-react"
import { type FormEvent, useState } from "react"
import { useRoute } from "../chat/route.ts"
import { signIn, url } from "../chat/session.ts"
import { explain, issuesOf } from "../text/failure.ts"
import { text } from "../text/text.ts"
import { Field } from "../ui/Field.tsx"

const isWrongPassword = (error: unknown) =>
  typeof error === "object" && error !== null && Reflect.get(error, "_tag") === "Unauthenticated"

/** Runs a form, once at a time, and keeps what went wrong. */
const useForm = (submit: (value: (name: string) => string) => Promise<void>) => {
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

const Failure = ({ error }: { readonly error: unknown }) => (
  <p className="error" role="alert">
    {error !== undefined && (isWrongPassword(error) ? text.signInWrong : explain(error))}
  </p>
)

const SignInForm = () => {
  const { busy, error, onSubmit } = useForm((value) => signIn(value("login"), value("password")))
  return (
    <form onSubmit={onSubmit}>
      <Field label={text.login} name="login" autoComplete="username" autoCapitalize="none" required />
      <Field label={text.password} name="password" type="password" autoComplete="current-password" required />
      <Failure error={error} />
      <button type="submit" className="button primary" disabled={busy}>
        {text.signIn}
      </button>
    </form>
  )
}

const SignUpForm = ({ inviteCode }: { readonly inviteCode: string | undefined }) => {
  const { busy, error, onSubmit } = useForm(async (value) => {
    const code = value("inviteCode")
    await Chat.register(url, {
      username: value("username"),
      displayName: value("displayName"),
      email: value("email"),
      password: value("password"),
      ...(code !== "" && { inviteCode: code })
    })
    await signIn(value("username"), value("password"))
  })
  const issues = issuesOf(error)
  return (
    <form onSubmit={onSubmit}>
      <Field label={text.displayName} name="displayName" autoComplete="name" required error={issues.displayName} />
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
      {inviteCode !== undefined && (
        <Field label={text.inviteCode} name="inviteCode" defaultValue={inviteCode} error={issues.inviteCode} />
      )}
      <Failure error={error} />
      <button type="submit" className="button primary" disabled={busy}>
        {text.signUp}
      </button>
    </form>
  )
}

/** What somebody sees who is not signed in. */
export const SignIn = ({ ended }: { readonly ended: boolean }) => {
  const route = useRoute()
  const invite = route.name === "invite" ? route.code : undefined
  const [isNew, setNew] = useState(invite !== undefined)
  return (
    <main className="sign-in">
      <section className="card">
        <MessagesSquare className="logo" aria-hidden="true" />
        <h1>{isNew ? text.signUpTitle : text.signInTitle}</h1>
        {ended && !isNew && <p className="hint">{text.sessionEnded}</p>}
        {isNew ? <SignUpForm inviteCode={invite} /> : <SignInForm />}
        <button type="button" className="link" onClick={() => setNew(!isNew)}>
          {isNew ? text.signInInstead : text.signUpInstead}
        </button>
      </section>
    </main>
  )
}
