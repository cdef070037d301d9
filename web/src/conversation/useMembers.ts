import { useChat, useConversation } from "chat-service/client/react"
import { useEffect, useMemo, useState } from "react"
import { usePeople } from "../chat/people.tsx"
import type { Member } from "../chat/types.ts"
import { attempt } from "../ui/notices.tsx"

/** At most this many members are fetched: receipts and completion of more would cost more than they help. */
const most = 200

/** The members of a conversation, the first to join first; fetched again when somebody joins or leaves. */
export const useMembers = (id: string): ReadonlyArray<Member> => {
  const chat = useChat()
  const people = usePeople()
  const count = useConversation(id)?.conversation.memberCount
  // Roles change with an event of the log, which is rare among those that do not change the number of members.
  const [roles, setRoles] = useState(0)
  useEffect(() => chat.conversation(id).on("member.role-changed", () => setRoles((now) => now + 1)), [chat, id])
  const [members, setMembers] = useState<ReadonlyArray<Member>>([])
  // biome-ignore lint/correctness/useExhaustiveDependencies: the members are others after a change of their number or roles
  useEffect(() => {
    if (count === undefined) return
    let current = true
    attempt(
      chat.ask("member.list", { conversationId: id, limit: most }).then(({ items }) => {
        people.add(items.map(({ user }) => user))
        if (current) setMembers(items)
      })
    )
    return () => {
      current = false
    }
  }, [chat, people, id, count, roles])
  return members
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
