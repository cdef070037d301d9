import { useChat, useChatState } from "chat-service/client/react"
import { useState } from "react"
import { forgetSession, useSession } from "../chat/session.ts"
import { text } from "../text/text.ts"
import { Dialog } from "../ui/Dialog.tsx"
import { attempt } from "../ui/notices.tsx"
import { Claim } from "./Claim.tsx"
import { CloseAccount } from "./CloseAccount.tsx"
import { Devices } from "./Devices.tsx"
import { Profile } from "./Profile.tsx"

const tabs = ["profile", "claim", "devices", "close"] as const
type Tab = (typeof tabs)[number]

const labels: Readonly<Record<Tab, string>> = {
  profile: text.profile,
  claim: text.claim,
  devices: text.devices,
  close: text.closeAccount
}

/** My account: who I am, where I am signed in, and how to end it. */
const Account = ({ onClose }: { readonly onClose: () => void }) => {
  const chat = useChat()
  const session = useSession()
  const me = useChatState((state) => state.me)
  const [tab, setTab] = useState<Tab>("profile")
  const isGuest = me?.kind === "guest"
  const signOut = async () => {
    if (session !== undefined) await chat.ask("session.end", { sessionId: session.sessionId })
    await chat.forget()
    forgetSession()
  }
  return (
    <Dialog title={text.myAccount} onClose={onClose}>
      <div className="tabs">
        {tabs
          .filter((name) => isGuest || name !== "claim")
          .map((name) => (
            <button key={name} type="button" aria-pressed={tab === name} onClick={() => setTab(name)}>
              {labels[name]}
            </button>
          ))}
      </div>
      {tab === "profile" && me !== null && <Profile me={me} />}
      {tab === "claim" && <Claim onDone={() => setTab("profile")} />}
      {tab === "devices" && <Devices />}
      {tab === "close" && <CloseAccount isGuest={isGuest} />}
      {(tab === "profile" || tab === "devices") && (
        <footer>
          {isGuest && <p className="hint">{text.guestHint}</p>}
          <button type="button" className="button" onClick={() => attempt(signOut())}>
            {text.signOut}
          </button>
        </footer>
      )}
    </Dialog>
  )
}
export default Account
