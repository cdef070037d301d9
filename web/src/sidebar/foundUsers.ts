import { useChat } from "chat-service/client/react"
import { useEffect, useState } from "react"
import { usePeople } from "../chat/people.tsx"
import type { User } from "../chat/types.ts"

/** Nothing is asked for while the user types faster than this. */
const pauseMillis = 200

/** More words find who is not among these. */
const shown = 20

/** The users whose names begin with a text. */
export const useFoundUsers = (query: string) => {
  const chat = useChat()
  const people = usePeople()
  const [found, setFound] = useState<ReadonlyArray<User> | null>(null)
  useEffect(() => {
    let current = true
    if (query === "") return setFound(null)
    const timer = setTimeout(() => {
      chat.ask("user.search", { query }).then(
        ({ items }) => {
          people.add(items)
          if (current) setFound(items.slice(0, shown))
        },
        () => current && setFound([])
      )
    }, pauseMillis)
    return () => {
      current = false
      clearTimeout(timer)
    }
  }, [chat, people, query])
  return found
}
