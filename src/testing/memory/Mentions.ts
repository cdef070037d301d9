import { everybody, type UserId } from "../../domain/Ids.ts"
import type { namesIn } from "../../domain/Mentions.ts"
import type { MembershipRow } from "../../services/conversations/ConversationRows.ts"
import type { UserRow } from "../../services/identity/Rows.ts"
import type { StoredConversation } from "./State.ts"

/** The users whom a text mentions by the names in it, as the SQL function `resolve_mentions` finds them. */
export const mentionedBy = (
  { members }: StoredConversation,
  users: ReadonlyMap<UserId, UserRow>,
  writer: MembershipRow,
  names: ReturnType<typeof namesIn>
): ReadonlyArray<UserId> => {
  const called = (form: string) => {
    if (form === "all") return writer.role === "member" ? undefined : everybody
    const user = Array.from(users.values()).find((each) => each.username === form && each.deletedAt === null)
    return user !== undefined && members.get(user.id)?.leftSeq === null ? user.id : undefined
  }
  return [...new Set(names.flatMap((forms) => forms.map(called).find((id) => id !== undefined) ?? []))]
}
