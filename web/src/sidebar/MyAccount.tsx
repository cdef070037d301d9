import { useChatState } from "chat-service/client/react"
import { lazy, Suspense, useState } from "react"
import { useSession } from "../chat/session.ts"
import { text } from "../text/text.ts"
import { UserAvatar } from "../ui/Avatar.tsx"

const Account = lazy(() => import("../account/Account.tsx"))

/** Who is signed in. It leads to what they can do about it. */
export const MyAccount = () => {
  const session = useSession()
  const me = useChatState((state) => state.me) ?? session?.user
  const [open, setOpen] = useState(false)
  return (
    <>
      <button type="button" className="my-account" title={text.myAccount} onClick={() => setOpen(true)}>
        <UserAvatar user={me} id={me?.id ?? ""} size="small" />
        <strong dir="auto">{me?.displayName}</strong>
      </button>
      {open && (
        <Suspense>
          <Account onClose={() => setOpen(false)} />
        </Suspense>
      )}
    </>
  )
}
