import { Context, type Effect } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import { Conflict, type Unavailable } from "../../domain/Problem.ts"
import type { UserRow } from "./Rows.ts"

/**
 * A position in the results of a search. Users found by username come first (`byName` 0, and `name` is the username),
 * then users found by display name alone (`byName` 1, and `name` is the folded display name).
 */
export interface FoundAt {
  readonly byName: 0 | 1
  readonly name: string
  readonly username: string
}

/** The position before the first result. */
export const start: FoundAt = { byName: 0, name: "", username: "" }

/** The fields of a profile that change. */
type UserChange = Partial<Pick<UserRow, "displayName" | "searchName" | "avatarUrl" | "whoMayAddMe">>

/** Where users are stored. The row of a deleted user stays, without anything that identifies the person. */
export class UserStorage extends Context.Service<
  UserStorage,
  {
    /** Stores a new user; `Conflict` when the e-mail address or the username is taken. */
    readonly insert: (user: UserRow) => Effect.Effect<void, Conflict | Unavailable>
    /** The users with these ids, deleted ones included, in no particular order. */
    readonly find: (ids: ReadonlyArray<UserId>) => Effect.Effect<ReadonlyArray<UserRow>, Unavailable>
    /** Changes the user and gives the new row; undefined when there is no such user, or it was deleted. */
    readonly update: (id: UserId, change: UserChange) => Effect.Effect<UserRow | undefined, Unavailable>
    /** Those of the others who are or were members of a conversation that the user is a member of. */
    readonly met: (userId: UserId, others: ReadonlyArray<UserId>) => Effect.Effect<ReadonlyArray<UserId>, Unavailable>
    /**
     * Users other than guests after a position whose username or folded display name begins with `prefix`, in the order of
     * `FoundAt`. For a viewer with a team: those of the same team, of none, and those with whom the viewer shares a conversation.
     */
    readonly search: (
      prefix: string,
      after: FoundAt,
      limit: number,
      viewer: Pick<UserRow, "id" | "team">
    ) => Effect.Effect<ReadonlyArray<UserRow & FoundAt>, Unavailable>
  }
>()("chat/services/UserStorage") {}

/** Why an account cannot be made or renamed. */
export const taken = (code: "email-taken" | "username-taken") =>
  new Conflict({ code, detail: code === "email-taken" ? "This e-mail address is taken" : "This username is taken" })
