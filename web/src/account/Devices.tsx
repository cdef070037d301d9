import { useChat } from "chat-service/client/react"
import { MonitorSmartphone } from "lucide-react"
import { useCallback } from "react"
import { readPages } from "../chat/pages.ts"
import { ago } from "../text/format.ts"
import { text } from "../text/text.ts"
import { attempt } from "../ui/notices.tsx"
import { useFetched } from "../ui/useFetched.ts"

/** A few words for a user agent, such as "Firefox, Linux". */
const nameOf = (userAgent: string) => {
  const browser = /Edg|Firefox|Chrome|Safari/.exec(userAgent)?.[0]
  const system = /Android|iPhone|iPad|Windows|Mac OS|Linux/.exec(userAgent)?.[0]
  return [browser, system].filter((part) => part !== undefined).join(", ") || userAgent.slice(0, 40)
}

/** Where I am signed in. Each of the others can be signed out. */
export const Devices = () => {
  const chat = useChat()
  const [sessions, again] = useFetched(useCallback(() => readPages((place) => chat.ask("session.list", place)), [chat]))
  return (
    <ul className="devices">
      {sessions?.items.map(({ current, id, ip, lastUsedAt, userAgent }) => (
        <li key={id} className="member">
          <MonitorSmartphone aria-hidden="true" />
          <div>
            <strong>{nameOf(userAgent)}</strong>
            <span className="hint">{current ? text.thisDevice : `${ip} · ${ago(lastUsedAt)}`}</span>
          </div>
          {!current && (
            <button
              type="button"
              className="button"
              onClick={() => attempt(chat.ask("session.end", { sessionId: id }).then(again))}
            >
              {text.signOut}
            </button>
          )}
        </li>
      ))}
    </ul>
  )
}
