import { useChat, useChatState } from "chat-service/client/react"
import { createContext, type ReactNode, use, useEffect, useState } from "react"
import { readPages } from "./pages.ts"

const nothing: ReadonlySet<string> = new Set()
const Context = createContext(nothing)

/** Knows which messages I have saved: all of them at each connection, and then what events say. */
export const StarsProvider = ({ children }: { readonly children: ReactNode }) => {
  const chat = useChat()
  const online = useChatState(({ connection }) => connection.status === "online")
  const [starred, setStarred] = useState(nothing)
  useEffect(() => {
    if (!online) return
    let current = true
    const since = new Map<string, boolean>()
    const change = (ids: Iterable<string>, changes: Iterable<readonly [string, boolean]>) => {
      const next = new Set(ids)
      for (const [id, on] of changes)
        if (on) next.add(id)
        else next.delete(id)
      return next
    }
    const stop = chat.on("star.updated", ({ data: { messageId, starred: on } }) => {
      since.set(messageId, on)
      setStarred((now) => change(now, [[messageId, on]]))
    })
    // Without an answer, messages are only not marked; the next connection asks again.
    readPages((place) => chat.ask("star.list", place)).then(
      ({ items }) => {
        const ids = items.map(({ id }) => id)
        if (current) setStarred(change(ids, since))
      },
      () => {}
    )
    return () => {
      current = false
      stop()
    }
  }, [chat, online])
  return <Context value={starred}>{children}</Context>
}

/** The ids of the messages that I have saved, as far as they are known. */
export const useStarred = (): ReadonlySet<string> => use(Context)
