import { useConversations } from "chat-service/client/react"
import { type KeyboardEvent, useId, useRef, useState } from "react"
import type { Conversation } from "../chat/types.ts"
import { text } from "../text/text.ts"
import { Avatar } from "../ui/Avatar.tsx"
import { isComposing } from "../ui/composing.ts"
import { Dialog } from "../ui/Dialog.tsx"
import { titleOf } from "./titles.ts"

/** At most this many conversations are offered. */
const most = 8

interface ConversationPickerProps {
  readonly title: string
  readonly onClose: () => void
  readonly onPick: (conversation: Conversation) => void
}

/** Chooses a conversation by a part of its name. */
export const ConversationPicker = ({ onClose, onPick, title }: ConversationPickerProps) => {
  const all = useConversations()
  const [query, setQuery] = useState("")
  const [index, setIndex] = useState(0)
  const listId = useId()
  const input = useRef<HTMLInputElement>(null)
  const found = all
    .filter(({ conversation }) => titleOf(conversation).toLowerCase().includes(query.trim().toLowerCase()))
    .slice(0, most)
  const chosen = Math.min(index, found.length - 1)
  const pick = (conversation: Conversation | undefined) => {
    if (conversation === undefined) return
    onClose()
    onPick(conversation)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (isComposing(event)) return
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0
    if (step !== 0 && found.length > 0) {
      event.preventDefault()
      setIndex((chosen + step + found.length) % found.length)
    }
    if (event.key === "Enter") {
      // Else it would press the button that gets the focus back.
      event.preventDefault()
      pick(found[chosen]?.conversation)
    }
  }
  return (
    <Dialog title={title} onClose={onClose} initialFocus={input}>
      <div className="field">
        <input
          ref={input}
          role="combobox"
          aria-expanded={true}
          aria-controls={listId}
          aria-activedescendant={found.length > 0 ? `${listId}-${chosen}` : undefined}
          aria-label={title}
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
            onPointerDown={() => pick(conversation)}
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
