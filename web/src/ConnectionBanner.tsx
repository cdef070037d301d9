import { useChat, useChatState } from "chat-service/client/react"
import { Sparkles, WifiOff } from "lucide-react"
import { useEffect, useState } from "react"
import { useNewVersion } from "./chat/version.ts"
import { text } from "./text/text.ts"

/** A connection that is lost for a shorter time is not worth a word. */
const patienceMillis = 1000

const useOnline = () => {
  const [online, setOnline] = useState(navigator.onLine)
  useEffect(() => {
    const look = () => setOnline(navigator.onLine)
    addEventListener("online", look)
    addEventListener("offline", look)
    return () => {
      removeEventListener("online", look)
      removeEventListener("offline", look)
    }
  }, [])
  return online
}

/** Says that there is no connection, and what that means for who is writing; or that there is a newer page. */
export const ConnectionBanner = () => {
  const chat = useChat()
  const connected = useChatState(({ connection: { status } }) => status === "online" || status === "catching-up")
  const online = useOnline()
  const outdated = useNewVersion()
  const [late, setLate] = useState(false)
  useEffect(() => {
    if (connected) return setLate(false)
    const timer = setTimeout(() => setLate(true), patienceMillis)
    return () => clearTimeout(timer)
  }, [connected])
  const lost = !connected && late
  if (lost || !online)
    return (
      <div className="banner" role="status">
        <WifiOff aria-hidden="true" />
        {online ? text.reconnecting : text.offline}
        {online && (
          <button type="button" className="link" onClick={() => void chat.wake()}>
            {text.reconnectNow}
          </button>
        )}
      </div>
    )
  return (
    <div className="banner news" role="status" hidden={!outdated}>
      {outdated && (
        <>
          <Sparkles aria-hidden="true" />
          {text.newVersion}
          <button type="button" className="link" onClick={() => location.reload()}>
            {text.reload}
          </button>
        </>
      )}
    </div>
  )
}
