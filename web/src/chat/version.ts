import { useChatState } from "chat-service/client/react"
import { useEffect, useState } from "react"

/** The files that this page has begun with. Their names have hashes of their content. */
const files = new Set(
  [...document.head.querySelectorAll("[src], [href]")].map((one) => one.getAttribute("src") ?? one.getAttribute("href"))
)

/** Whether the service has another version of the page than the one that is shown. */
const isOutdated = async () => {
  const answer = await fetch("/", { cache: "no-cache" })
  if (!answer.ok || answer.redirected) return false
  return [...(await answer.text()).matchAll(/"(\/assets\/[^"]+)"/g)].some(([, file]) => !files.has(file ?? null))
}

/** Whether a reload would take something away. Texts are kept, so only what is open in front of the page would be lost. */
const isBusy = () => document.querySelector("[role=dialog], [data-busy]") !== null

/**
 * Whether there is a newer version of the page. It is asked for at each connection, since a node that was replaced has
 * ended the one before. While nobody looks at the page, it is loaded again by itself.
 */
export const useNewVersion = (): boolean => {
  const online = useChatState(({ connection }) => connection.status === "online")
  const [outdated, setOutdated] = useState(false)
  useEffect(() => {
    if (!online || !import.meta.env.PROD) return
    // Without an answer, the next connection asks again.
    isOutdated().then(setOutdated, () => {})
  }, [online])
  useEffect(() => {
    if (!outdated) return
    const look = () => {
      if (document.hidden && !isBusy()) location.reload()
    }
    document.addEventListener("visibilitychange", look)
    return () => document.removeEventListener("visibilitychange", look)
  }, [outdated])
  return outdated
}
