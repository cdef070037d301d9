import { useConversations } from "chat-service/client/react"
import { type KeyboardEvent, useId, useState } from "react"
import { openConversation } from "./chat/route.ts"
import { titleOf } from "./sidebar/titles.ts"
import { text } from "./text/text.ts"
import { Avatar } from "./ui/Avatar.tsx"
import { Dialog } from "./ui/Dialog.tsx"

/** At most this many conversations are offered. */
const most = 8

/** Goes to a conversation by a part of its name. */
const QuickSwitcher = ({ onClose }: { readonly onClose: () => void }) => {
  const all = useConversations()
  const [query, setQuery] = useState("")
  const [index, setIndex] = useState(0)
  const listId = useId()
  const found = all
    .filter(({ conversation }) => titleOf(conversation).toLowerCase().includes(query.trim().toLowerCase()))
    .slice(0, most)
  const chosen = Math.min(index, found.length - 1)
  const open = (id: string | undefined) => {
    if (id === undefined) return
    onClose()
    openConversation(id)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0
    if (step !== 0 && found.length > 0) {
      event.preventDefault()
      setIndex((chosen + step + found.length) % found.length)
    }
    if (event.key === "Enter") open(found[chosen]?.conversation.id)
  }
  return (
    <Dialog title={text.switchTo} onClose={onClose}>
      <div className="field">
        <input
          role="combobox"
          aria-expanded={true}
          aria-controls={listId}
          aria-activedescendant={found.length > 0 ? `${listId}-${chosen}` : undefined}
          aria-label={text.switchTo}
          value={query}
          onChange={(event) => {
            setQuery(event.target.value)
            setIndex(0)
          }}
          onKeyDown={onKeyDown}
        />
      </div>
      <div id={listId} role="listbox" aria-label={text.conversations} className="options">
        {found.map(({ conversation }, at) => (
          <div
            key={conversation.id}
            id={`${listId}-${at}`}
            role="option"
            tabIndex={-1}
            aria-selected={at === chosen}
            onPointerDown={() => open(conversation.id)}
          >
            <Avatar id={conversation.peer?.id ?? conversation.id} name={titleOf(conversation)} size="small" />
            <bdi>{titleOf(conversation)}</bdi>
          </div>
        ))}
      </div>
      {found.length === 0 && <p className="hint">{text.nothingFound}</p>}
    </Dialog>
  )
}
export default QuickSwitcher
