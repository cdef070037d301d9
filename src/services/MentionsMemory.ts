import type { UserId } from "../domain/Ids.ts"
import { everybody, type namesIn } from "../domain/Mentions.ts"
import type { MembershipRow, StoredConversation, UserRow } from "./Memory.ts"

/** Whom a text mentions by the names in it: `resolve_mentions` of migration 0012, in `Memory`. */
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
