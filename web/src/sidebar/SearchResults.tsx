import { useChat } from "chat-service/client/react"
import { useEffect, useState } from "react"
import { openConversation } from "../chat/route.ts"
import type { Message } from "../chat/types.ts"
import { MessageLine } from "../lists/MessageLine.tsx"
import { explain } from "../text/failure.ts"
import { text } from "../text/text.ts"
import { UserAvatar } from "../ui/Avatar.tsx"
import { attempt } from "../ui/notices.tsx"
import { useFoundUsers } from "./foundUsers.ts"

/** Nothing is asked for while the user types faster than this. */
const pauseMillis = 250

interface Found {
  readonly words: string
  readonly items: ReadonlyArray<Message>
  readonly nextCursor: string | undefined
  readonly problem: string | null
}

const useSearch = (words: string) => {
  const chat = useChat()
  const [found, setFound] = useState<Found | null>(null)
  useEffect(() => {
    let current = true
    const timer = setTimeout(() => {
      chat.ask("message.search", { query: words }).then(
        ({ items, nextCursor }) => current && setFound({ words, items, nextCursor, problem: null }),
        (error: unknown) => current && setFound({ words, items: [], nextCursor: undefined, problem: explain(error) })
      )
    }, pauseMillis)
    return () => {
      current = false
      clearTimeout(timer)
    }
  }, [chat, words])
  const more = async () => {
    if (found?.nextCursor === undefined) return
    const page = await chat.ask("message.search", { query: found.words, cursor: found.nextCursor })
    setFound({ ...found, items: [...found.items, ...page.items], nextCursor: page.nextCursor })
  }
  return { found, more }
}

interface FoundPeopleProps {
  readonly words: string
  /** Those whose conversation is shown already. */
  readonly without: ReadonlySet<string>
}

/** Further people whose names begin with the words. Each leads to the direct conversation. */
export const FoundPeople = ({ without, words }: FoundPeopleProps) => {
  const chat = useChat()
  const found = useFoundUsers(words)?.filter(({ id }) => !without.has(id)) ?? []
  if (found.length === 0) return null
  const talk = async (userId: string) =>
    openConversation((await chat.ask("conversation.create", { kind: "dm", userId })).id)
  return (
    <section aria-label={text.people}>
      <h2>{text.people}</h2>
      {found.map((user) => (
        <button key={user.id} type="button" className="user" onClick={() => attempt(talk(user.id))}>
          <UserAvatar user={user} id={user.id} size="small" />
          <bdi>{user.displayName}</bdi>
          <span className="hint">@{user.username}</span>
        </button>
      ))}
    </section>
  )
}

/** The messages that have all of the words. Each leads to its place. */
export const SearchResults = ({ words }: { readonly words: string }) => {
  const { found, more } = useSearch(words)
  if (found === null) return <p className="hint">{text.loading}</p>
  if (found.problem !== null) return <p className="error">{found.problem}</p>
  return (
    <section aria-label={text.results}>
      <h2>{text.results}</h2>
      {found.items.map((message) => (
        <MessageLine key={message.id} message={message} />
      ))}
      {found.items.length === 0 && (
        <p className="hint" role="status">
          {text.nothingFound}. {text.nothingFoundHint}
        </p>
      )}
      {found.nextCursor !== undefined && (
        <button type="button" className="link" onClick={() => attempt(more())}>
          {text.loadMore}
        </button>
      )}
    </section>
  )
}
