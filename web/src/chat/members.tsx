import { useChat, useConversation } from "chat-service/client/react"
import { createContext, type ReactNode, use, useCallback, useEffect, useMemo, useState } from "react"
import { type Pages, usePages } from "../ui/usePages.ts"
import { type FetchPage, readPages } from "./pages.ts"
import { usePeople } from "./people.tsx"
import type { Member } from "./types.ts"

/** About how many members are known at first: without all of them, nothing says who has read a message. */
const enough = 200

const Context = createContext<Pages<Member> | null>(null)

/**
 * Knows the members of a conversation for everything below it, those who joined first first. They are fetched again when
 * somebody joins or leaves, or a role changes.
 */
export const MembersProvider = ({ children, id }: { readonly id: string; readonly children: ReactNode }) => {
  const chat = useChat()
  const people = usePeople()
  const count = useConversation(id)?.conversation.memberCount
  // Roles change with an event of the log, which is rare among those that do not change the number of members.
  const [roles, setRoles] = useState(0)
  useEffect(() => chat.conversation(id).on("member.role-changed", () => setRoles((now) => now + 1)), [chat, id])
  // biome-ignore lint/correctness/useExhaustiveDependencies: the members are others after a change of their number or roles
  const fetch: FetchPage<Member> = useCallback(
    async (from) => {
      if (count === undefined) return { items: [] }
      const page = await readPages((place) => chat.ask("member.list", { conversationId: id, ...place }), {
        ...from,
        enough
      })
      people.add(page.items.map(({ user }) => user))
      return page
    },
    [chat, people, id, count, roles]
  )
  return <Context value={usePages(fetch)}>{children}</Context>
}

const none: ReadonlyArray<Member> = []

/** The members of the conversation of the `MembersProvider` above: the first page, and those that were asked for. */
export const useMembers = (): Pick<Pages<Member>, "hasMore" | "more"> & { readonly members: ReadonlyArray<Member> } => {
  const pages = use(Context)
  if (pages === null) throw new Error("there is no MembersProvider")
  return { members: pages.items ?? none, hasMore: pages.hasMore, more: pages.more }
}

/** How far all others have received and read a conversation. */
export interface Receipts {
  readonly read: number
  readonly delivered: number
}

/** Up to where everybody else has read and received; null when that is not known for all of them. */
export const useReceipts = (id: string, members: ReadonlyArray<Member>, me: string): Receipts | null => {
  const state = useConversation(id)
  return useMemo(() => {
    const others = members.filter(({ user }) => user.id !== me)
    if (state === undefined || others.length === 0 || others.length < state.conversation.memberCount - 1) return null
    const { delivered, read } = state
    return {
      read: Math.min(...others.map(({ readSeq, user }) => Math.max(readSeq, read.get(user.id) ?? 0))),
      delivered: Math.min(
        ...others.map(({ deliveredSeq, user }) => Math.max(deliveredSeq, delivered.get(user.id) ?? 0))
      )
    }
  }, [state, members, me])
}
