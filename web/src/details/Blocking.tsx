import { useChat } from "chat-service/client/react"
import { Ban } from "lucide-react"
import { useCallback } from "react"
import { readPages } from "../chat/pages.ts"
import { text } from "../text/text.ts"
import { attempt } from "../ui/notices.tsx"
import { useFetched } from "../ui/useFetched.ts"

/** Keeps a user from writing to me, or lets them again. */
export const Blocking = ({ userId }: { readonly userId: string }) => {
  const chat = useChat()
  const [blocks, again] = useFetched(useCallback(() => readPages((place) => chat.ask("block.list", place)), [chat]))
  if (blocks === null) return null
  const blocked = blocks.items.some(({ user }) => user.id === userId)
  return (
    <section>
      <button
        type="button"
        className="button wide"
        onClick={() => attempt(chat.ask(blocked ? "block.remove" : "block.add", { userId }).then(again))}
      >
        <Ban aria-hidden="true" />
        {blocked ? text.unblock : text.block}
      </button>
      {blocked && <p className="hint">{text.blockedHint}</p>}
    </section>
  )
}
