import { useChat } from "chat-service/client/react"
import { Copy, Link, QrCode, Trash2 } from "lucide-react"
import { lazy, Suspense, useCallback, useState } from "react"
import { inviteAddress } from "../chat/route.ts"
import { dayName } from "../text/format.ts"
import { text } from "../text/text.ts"
import { IconButton } from "../ui/Button.tsx"
import { attempt, notify } from "../ui/notices.tsx"
import { useFetched } from "../ui/useFetched.ts"

const InviteCode = lazy(() => import("./InviteCode.tsx"))

const weekSeconds = 7 * 24 * 3600

const copy = async (code: string) => {
  await navigator.clipboard.writeText(inviteAddress(code))
  notify(text.copied)
}

/** The links with which others can join a group. */
export const Invites = ({ conversationId }: { readonly conversationId: string }) => {
  const chat = useChat()
  const [invites, again] = useFetched(
    useCallback(() => chat.ask("invite.list", { conversationId, limit: 50 }), [chat, conversationId])
  )
  const [shown, setShown] = useState<string | null>(null)
  const create = () => chat.ask("invite.create", { conversationId, expiresInSeconds: weekSeconds }).then(again)
  return (
    <section>
      <h3>{text.invites}</h3>
      <button type="button" className="user" onClick={() => attempt(create())}>
        <Link aria-hidden="true" />
        {text.createInvite}
      </button>
      <ul>
        {invites?.items.map(({ code, expiresAt, uses }) => (
          <li key={code} className="invite">
            <input aria-label={text.inviteLink} readOnly value={inviteAddress(code)} />
            <IconButton label={text.copyLink} onClick={() => attempt(copy(code))}>
              <Copy />
            </IconButton>
            <IconButton label={text.qrCode} onClick={() => setShown(code)}>
              <QrCode />
            </IconButton>
            <IconButton
              label={text.revoke}
              onClick={() => attempt(chat.ask("invite.revoke", { conversationId, code }).then(again))}
            >
              <Trash2 />
            </IconButton>
            <span className="hint">
              {text.uses(uses)}
              {expiresAt !== null && ` · ${text.until(dayName(expiresAt))}`}
            </span>
          </li>
        ))}
      </ul>
      {shown !== null && (
        <Suspense>
          <InviteCode address={inviteAddress(shown)} onClose={() => setShown(null)} />
        </Suspense>
      )}
    </section>
  )
}
