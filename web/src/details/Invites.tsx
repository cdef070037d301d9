import { useChat } from "chat-service/client/react"
import { Copy, Link, QrCode, Trash2 } from "lucide-react"
import { lazy, Suspense, useCallback, useState } from "react"
import { readPages } from "../chat/pages.ts"
import { inviteAddress } from "../chat/route.ts"
import { dayName } from "../text/format.ts"
import { text } from "../text/text.ts"
import { IconButton } from "../ui/Button.tsx"
import { attempt, notify } from "../ui/notices.tsx"
import { useFetched } from "../ui/useFetched.ts"

const InviteCode = lazy(() => import("./InviteCode.tsx"))

const weekSeconds = 7 * 24 * 3600

const copy = async (address: string) => {
  await navigator.clipboard.writeText(address)
  notify(text.copied)
}

/** The links with which others can join a group. */
export const Invites = ({ conversationId }: { readonly conversationId: string }) => {
  const chat = useChat()
  const [invites, again] = useFetched(
    useCallback(
      () => readPages((place) => chat.ask("invite.list", { conversationId, ...place })),
      [chat, conversationId]
    )
  )
  const [shown, setShown] = useState<string | null>(null)
  const create = (guests: boolean) =>
    attempt(chat.ask("invite.create", { conversationId, expiresInSeconds: weekSeconds, guests }).then(again))
  return (
    <section>
      <h3>{text.invites}</h3>
      <button type="button" className="user" onClick={() => create(false)}>
        <Link aria-hidden="true" />
        {text.createInvite}
      </button>
      <button type="button" className="user" onClick={() => create(true)}>
        <Link aria-hidden="true" />
        {text.createGuestInvite}
      </button>
      <ul>
        {invites?.items.map(({ code, expiresAt, guests, uses }) => (
          <li key={code} className="invite">
            <input aria-label={text.inviteLink} readOnly value={inviteAddress({ code, guests })} />
            <IconButton label={text.copyLink} onClick={() => attempt(copy(inviteAddress({ code, guests })))}>
              <Copy />
            </IconButton>
            <IconButton label={text.qrCode} onClick={() => setShown(inviteAddress({ code, guests }))}>
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
              {guests && ` · ${text.guestsToo}`}
              {expiresAt !== null && ` · ${text.until(dayName(expiresAt))}`}
            </span>
          </li>
        ))}
      </ul>
      {shown !== null && (
        <Suspense>
          <InviteCode address={shown} onClose={() => setShown(null)} />
        </Suspense>
      )}
    </section>
  )
}
