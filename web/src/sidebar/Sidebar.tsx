import { useChatState, usePresence } from "chat-service/client/react"
import { CalendarClock, MessageSquarePlus, MessagesSquare, Search, Star, X } from "lucide-react"
import { lazy, Suspense, useDeferredValue, useEffect, useMemo, useRef, useState } from "react"
import { VList } from "virtua"
import { goTo } from "../chat/route.ts"
import type { ConversationState } from "../chat/types.ts"
import { text } from "../text/text.ts"
import { IconButton } from "../ui/Button.tsx"
import { isComposing } from "../ui/composing.ts"
import { ConversationRow } from "./ConversationRow.tsx"
import { MyAccount } from "./MyAccount.tsx"
import { FoundPeople, SearchResults } from "./SearchResults.tsx"
import { titleOf } from "./titles.ts"

const NewConversation = lazy(() => import("./NewConversation.tsx"))

const descending = (one: string, other: string) => (one < other ? 1 : one > other ? -1 : 0)

/** Pinned conversations first, and then those with the latest activity. */
const inOrder = (states: ReadonlyArray<ConversationState>) =>
  states.toSorted(
    ({ conversation: one }, { conversation: other }) =>
      Number(other.me.pinned) - Number(one.me.pinned) || descending(one.lastActivityAt, other.lastActivityAt)
  )

const isShown = ({ conversation }: ConversationState, me: string) =>
  conversation.lastMessage !== null || conversation.kind === "group" || conversation.createdBy === me

/** The presence of this many people is watched: those of the latest direct conversations. */
const watched = 200

const peersOf = (states: ReadonlyArray<ConversationState>) =>
  states.flatMap(({ conversation: { peer } }) => (peer === null ? [] : [peer.id])).slice(0, watched)

const Empty = ({ onStart }: { readonly onStart: (() => void) | undefined }) => (
  <div className="empty">
    <MessagesSquare aria-hidden="true" />
    <h2>{text.noConversations}</h2>
    {onStart !== undefined && (
      <>
        <p>{text.noConversationsHint}</p>
        <button type="button" className="button primary" onClick={onStart}>
          {text.newConversation}
        </button>
      </>
    )}
  </div>
)

/** What can be started from here. Guests may start nothing. */
const Header = ({ onStart }: { readonly onStart: (() => void) | undefined }) => (
  <header>
    <MyAccount />
    <IconButton label={text.savedMessages} onClick={() => goTo({ name: "saved" })}>
      <Star />
    </IconButton>
    <IconButton label={text.scheduledMessages} onClick={() => goTo({ name: "scheduled" })}>
      <CalendarClock />
    </IconButton>
    {onStart !== undefined && (
      <IconButton label={text.newConversation} onClick={onStart}>
        <MessageSquarePlus />
      </IconButton>
    )}
  </header>
)

interface SidebarProps {
  readonly selected: string | null
  /** Whether it takes the focus when it appears. */
  readonly focused: boolean
}

/** The conversations of the user, and the people and messages that are found. */
export const Sidebar = ({ focused, selected }: SidebarProps) => {
  const nav = useRef<HTMLElement>(null)
  useEffect(() => {
    if (focused) nav.current?.focus()
  }, [focused])
  const conversations = useChatState((state) => state.conversations)
  const me = useChatState((state) => state.me?.id) ?? ""
  // Without a connection, nobody knows whether there are none.
  const online = useChatState(({ connection }) => connection.status === "online")
  const [query, setQuery] = useState("")
  const [archived, setArchived] = useState(false)
  const [starting, setStarting] = useState(false)
  const isGuest = useChatState((state) => state.me?.kind === "guest")
  const onStart = isGuest ? undefined : () => setStarting(true)
  const words = useDeferredValue(query.trim())
  const all = useMemo(
    () => inOrder([...conversations.values()].filter((state) => isShown(state, me))),
    [conversations, me]
  )
  usePresence(useMemo(() => peersOf(all), [all]))
  const hasArchived = all.some(({ conversation }) => conversation.me.archived)
  const shown = all.filter(({ conversation }) =>
    words === ""
      ? conversation.me.archived === (archived && hasArchived)
      : titleOf(conversation).toLowerCase().includes(words.toLowerCase())
  )
  const rowOf = (state: ConversationState) => (
    <ConversationRow key={state.conversation.id} state={state} me={me} selected={state.conversation.id === selected} />
  )
  return (
    <nav ref={nav} tabIndex={-1} className="sidebar" aria-label={text.conversations}>
      <Header onStart={onStart} />
      <search className="search">
        <Search aria-hidden="true" />
        <input
          type="text"
          aria-label={text.searchPlaceholder}
          placeholder={text.searchPlaceholder}
          value={query}
          onChange={(event) => setQuery(event.target.value)}
          onKeyDown={(event) => event.key === "Escape" && !isComposing(event) && setQuery("")}
        />
        {query !== "" && (
          <IconButton label={text.close} onClick={() => setQuery("")}>
            <X />
          </IconButton>
        )}
      </search>
      {hasArchived && words === "" && (
        <div className="tabs">
          <button type="button" aria-pressed={!archived} onClick={() => setArchived(false)}>
            {text.all}
          </button>
          <button type="button" aria-pressed={archived} onClick={() => setArchived(true)}>
            {text.archived}
          </button>
        </div>
      )}
      {words !== "" ? (
        <div className="found">
          {shown.map(rowOf)}
          {!isGuest && <FoundPeople words={words} without={new Set([me, ...peersOf(shown)])} />}
          <SearchResults words={words} />
        </div>
      ) : all.length === 0 && online ? (
        <Empty onStart={onStart} />
      ) : (
        <VList className="rows" data={shown}>
          {rowOf}
        </VList>
      )}
      {starting && (
        <Suspense>
          <NewConversation onClose={() => setStarting(false)} />
        </Suspense>
      )}
    </nav>
  )
}
