import type { Chat } from "chat-service/client"
import { useChat } from "chat-service/client/react"
import { useEffect, useState } from "react"
import { perChat } from "../chat/perChat.ts"

/** A link works for five minutes, and is used for a little less. */
const freshMillis = 4 * 60_000

interface Link {
  readonly url: Promise<string>
  readonly at: number
}

const linksOf = perChat(() => new Map<string, Link>())

/** A URL that gets an attachment without a token, for pictures, players and downloads. */
export const linkOf = (chat: Chat, attachmentId: string): Promise<string> => {
  const links = linksOf(chat)
  const known = links.get(attachmentId)
  if (known !== undefined && performance.now() - known.at < freshMillis) return known.url
  const url = chat.ask("attachment.link", { attachmentId }).then(
    (link) => link.url,
    (error: unknown) => {
      links.delete(attachmentId)
      throw error
    }
  )
  links.set(attachmentId, { url, at: performance.now() })
  return url
}

/** The link to an attachment; null until it is there. It stays the same for as long as the component is shown. */
export const useLink = (attachmentId: string): string | null => {
  const chat = useChat()
  const [url, setUrl] = useState<string | null>(null)
  useEffect(() => {
    let current = true
    // Whoever may not see it any more sees the placeholder.
    linkOf(chat, attachmentId).then(
      (next) => current && setUrl(next),
      () => {}
    )
    return () => {
      current = false
    }
  }, [chat, attachmentId])
  return url
}

/** Saves an attachment as a file. */
export const download = async (chat: Chat, attachmentId: string): Promise<void> => {
  const link = document.createElement("a")
  link.href = `${await linkOf(chat, attachmentId)}&download=1`
  link.download = ""
  link.click()
}
