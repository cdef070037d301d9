import { Chat } from "chat-service/client"
import { MessagesSquare } from "lucide-react"
import { useState } from "react"
import { useRoute } from "../chat/route.ts"
import { joinAsGuest, signIn, url } from "../chat/session.ts"
import { issuesOf } from "../text/failure.ts"
import { text } from "../text/text.ts"
import { Field } from "../ui/Field.tsx"
import { AccountFields, accountOf, Failure, useForm } from "./AccountForm.tsx"

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
    const account = accountOf(value)
    await Chat.register(url, {
      ...account,
      displayName: value("displayName"),
      ...(code !== "" && { inviteCode: code })
    })
    await signIn(account.username, account.password)
  })
  const issues = issuesOf(error)
  return (
    <form onSubmit={onSubmit}>
      <Field label={text.displayName} name="displayName" autoComplete="name" required error={issues.displayName} />
      <AccountFields issues={issues} />
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

const GuestForm = ({ code }: { readonly code: string }) => {
  const { busy, error, onSubmit } = useForm((value) => joinAsGuest(code, value("displayName")))
  return (
    <form onSubmit={onSubmit}>
      <Field
        label={text.displayName}
        name="displayName"
        autoComplete="name"
        hint={text.guestHint}
        error={issuesOf(error).displayName}
        required
      />
      <Failure error={error} />
      <button type="submit" className="button primary" disabled={busy}>
        {text.joinAsGuest}
      </button>
    </form>
  )
}

const ways = ["guest", "new", "known"] as const
type Way = (typeof ways)[number]

const titles: Readonly<Record<Way, string>> = {
  guest: text.joinTitle,
  new: text.signUpTitle,
  known: text.signInTitle
}

const offers: Readonly<Record<Way, string>> = {
  guest: text.joinInstead,
  new: text.signUpInstead,
  known: text.signInInstead
}

/** What somebody sees who is not signed in. */
export const SignIn = ({ ended }: { readonly ended: boolean }) => {
  const route = useRoute()
  const invite = route.name === "invite" ? route : undefined
  const [chosen, setChosen] = useState<Way>()
  const first = invite === undefined ? "known" : invite.guests ? "guest" : "new"
  const way = chosen === "guest" && invite?.guests !== true ? first : (chosen ?? first)
  const others = ways.filter((other) => other !== way && (other !== "guest" || invite?.guests === true))
  return (
    <main className="sign-in">
      <section className="card">
        <MessagesSquare className="logo" aria-hidden="true" />
        <h1>{titles[way]}</h1>
        {ended && way === "known" && <p className="hint">{text.sessionEnded}</p>}
        {way === "guest" && invite !== undefined && <GuestForm code={invite.code} />}
        {way === "new" && <SignUpForm inviteCode={invite?.code} />}
        {way === "known" && <SignInForm />}
        {others.map((other) => (
          <button key={other} type="button" className="link" onClick={() => setChosen(other)}>
            {offers[other]}
          </button>
        ))}
      </section>
    </main>
  )
}
