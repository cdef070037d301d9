import { useChat } from "chat-service/client/react"
import { X } from "lucide-react"
import { useCallback, useEffect } from "react"
import { openConversation } from "../chat/route.ts"
import { text } from "../text/text.ts"
import { IconButton } from "../ui/Button.tsx"
import { usePages } from "../ui/usePages.ts"
import { Lines, MessageLine } from "./MessageLine.tsx"

/** The events after which other messages are pinned. */
const changes = ["message.pinned", "message.unpinned", "message.deleted", "message.edited"] as const

/** The pinned messages of a conversation. */
const PinsPanel = ({ id }: { readonly id: string }) => {
  const chat = useChat()
  const pages = usePages(useCallback((place) => chat.conversation(id).pins(place), [chat, id]))
  const { again } = pages
  useEffect(() => {
    const stops = changes.map((name) => chat.conversation(id).on(name, again))
    return () => {
      for (const stop of stops) stop()
    }
  }, [chat, id, again])
  return (
    <aside className="panel" aria-label={text.pinnedMessages}>
      <header>
        <h2>{text.pinnedMessages}</h2>
        <IconButton label={text.close} onClick={() => openConversation(id)}>
          <X />
        </IconButton>
      </header>
      <div className="found">
        <Lines pages={pages} empty={text.nothingPinned}>
          {(message) => <MessageLine key={message.id} message={message} withPlace={false} />}
        </Lines>
      </div>
    </aside>
  )
}
export default PinsPanel
