import { useConversations } from "chat-service/client/react"
import { lazy, Suspense, useEffect, useRef, useState } from "react"
import { goTo, openConversation, useRoute } from "./chat/route.ts"

const QuickSwitcher = lazy(() => import("./QuickSwitcher.tsx"))
const Keys = lazy(() => import("./Keys.tsx"))

const isWriting = (target: EventTarget | null) =>
  target instanceof HTMLElement && target.matches("input, textarea, select")

/** The keys that work everywhere on the page. */
export const Shortcuts = () => {
  const [shown, setShown] = useState<"switcher" | "keys" | null>(null)
  const route = useRoute()
  const conversations = useConversations()
  const onKeyDown = (event: KeyboardEvent) => {
    const id = route.name === "conversation" ? route.id : null
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault()
      setShown("switcher")
    } else if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      event.preventDefault()
      const at = conversations.findIndex(({ conversation }) => conversation.id === id)
      const next = conversations[at + (event.key === "ArrowUp" ? -1 : 1)]
      if (next !== undefined) openConversation(next.conversation.id)
    } else if (event.key === "Escape" && document.querySelector("[role=dialog]") === null) {
      if (route.name !== "conversation" || (route.panel === null && route.seq === null)) goTo({ name: "home" })
      else openConversation(route.id)
    } else if (!isWriting(event.target) && event.key === "?") {
      setShown("keys")
    } else if (!isWriting(event.target) && event.key === "/") {
      event.preventDefault()
      document.querySelector<HTMLElement>(".search input")?.focus()
    }
  }
  const latest = useRef(onKeyDown)
  latest.current = onKeyDown
  useEffect(() => {
    const listen = (event: KeyboardEvent) => latest.current(event)
    addEventListener("keydown", listen)
    return () => removeEventListener("keydown", listen)
  }, [])
  return (
    <Suspense>
      {shown === "switcher" && <QuickSwitcher onClose={() => setShown(null)} />}
      {shown === "keys" && <Keys onClose={() => setShown(null)} />}
    </Suspense>
  )
}
