import { useChat } from "chat-service/client/react"
import { StarOff } from "lucide-react"
import { useCallback, useEffect } from "react"
import { text } from "../text/text.ts"
import { IconButton } from "../ui/Button.tsx"
import { attempt } from "../ui/notices.tsx"
import { usePages } from "../ui/usePages.ts"
import { ListPage } from "./ListPage.tsx"
import { Lines, MessageLine } from "./MessageLine.tsx"

/** The messages that I have saved, in all conversations. */
const Saved = () => {
  const chat = useChat()
  const pages = usePages(useCallback((place) => chat.ask("star.list", place), [chat]))
  const { again } = pages
  useEffect(() => chat.on("star.updated", again), [chat, again])
  return (
    <ListPage title={text.savedMessages}>
      <Lines pages={pages} empty={text.nothingSaved}>
        {(message) => (
          <div key={message.id} className="list-line">
            <MessageLine message={message} />
            <IconButton
              label={text.unsave}
              onClick={() => attempt(chat.conversation(message.conversationId).unstar(message.id))}
            >
              <StarOff />
            </IconButton>
          </div>
        )}
      </Lines>
    </ListPage>
  )
}
export default Saved
