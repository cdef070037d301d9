import { Context, DateTime, Effect, Layer, Schema } from "effect"
import type { Account, AccountFilter, MessagesOfDeleted } from "../../domain/Account.ts"
import type { SessionId, UserId } from "../../domain/Ids.ts"
import type { Page, PageRequest } from "../../domain/Page.ts"
import { type InvalidRequest, invalid, type NotFound, type Unavailable } from "../../domain/Problem.ts"
import { accountDisabled, noUser } from "../../domain/Refusals.ts"
import { Text } from "../../domain/Text.ts"
import { Members } from "../conversations/Members.ts"
import type { UserRow } from "../identity/Rows.ts"
import type { SessionStorage } from "../identity/SessionStorage.ts"
import { Sessions } from "../identity/Sessions.ts"
import { folded, toMe } from "../identity/Users.ts"
import { checkLimit, cursorOf, pageOf } from "../platform/Paging.ts"
import { Settings } from "../platform/Settings.ts"
import type { AuditActor } from "./Audit.ts"

/** The result of an act: the sessions that it ended, or that there is no such account. */
export type Act =
  | { readonly outcome: "changed" | "unchanged"; readonly ended: ReadonlyArray<SessionId> }
  | { readonly outcome: "no-user" }

/** The sessions that an act ended; `NotFound` when there is no such account. */
export const endedBy = (act: Act) => (act.outcome === "no-user" ? Effect.fail(noUser) : Effect.succeed(act.ended))

/** The accounts to read: those whose username or folded e-mail address is given, or begins with the given text. */
interface AccountsWanted {
  readonly email?: string | undefined
  readonly prefix: string
  readonly status?: AccountFilter["status"] | undefined
}

/** The failure of the scheduled messages of a disabled account. */
export const scheduledFailure = { type: accountDisabled.type, detail: "Your account was disabled" }

/** Where accounts are administered: each act in one transaction, with its line in the audit log if it changes something. */
export class AccountAdminStorage extends Context.Service<
  AccountAdminStorage,
  {
    /** The living accounts after a username, in the order of usernames. */
    readonly list: (
      wanted: AccountsWanted,
      after: string,
      limit: number
    ) => Effect.Effect<ReadonlyArray<UserRow>, Unavailable>
    /** The account, unless it is deleted. */
    readonly find: (userId: UserId) => Effect.Effect<UserRow | undefined, Unavailable>
    /** Disables the account, ends its sessions, and refuses its scheduled messages. */
    readonly disable: (userId: UserId, actor: AuditActor, now: Date) => Effect.Effect<Act, Unavailable>
    /** Lets the user log in again, with a line in the audit log. */
    readonly enable: (userId: UserId, actor: AuditActor) => Effect.Effect<Act, Unavailable>
    /** Ends all sessions of the user, and the tokens of a bot, with a line in the audit log. */
    readonly endSessions: (userId: UserId, actor: AuditActor, now: Date) => Effect.Effect<Act, Unavailable>
    /** As in `SessionStorage`. */
    readonly beginClosing: SessionStorage["Service"]["beginClosing"]
    /**
     * Deletes the account as its user can, and notes that the messages are to be erased if they are; "in-groups", and
     * nothing is changed, while the user is a member of a group.
     */
    readonly delete: (
      userId: UserId,
      actor: AuditActor,
      now: Date,
      messages: MessagesOfDeleted
    ) => Effect.Effect<Act | { readonly outcome: "in-groups" }, Unavailable>
  }
>()("chat/services/AccountAdminStorage") {}

const cursor = cursorOf(Text)

/** The account of a user as operators see it. */
export const toAccount = (row: UserRow): Account => ({
  ...toMe(row),
  disabledAt: row.disabledAt?.toISOString() ?? null,
  team: row.team
})

/**
 * The administration of accounts. A deleted account counts as one that does not exist. An act that changes nothing
 * succeeds.
 */
export class AccountAdmin extends Context.Service<
  AccountAdmin,
  {
    /** Reads a page of the accounts, in the order of usernames. */
    readonly list: (
      filter: AccountFilter,
      page: PageRequest
    ) => Effect.Effect<Page<Account>, InvalidRequest | Unavailable>
    /** Reads one account. `NotFound` when there is none, as in everything below. */
    readonly get: (userId: UserId) => Effect.Effect<Account, NotFound | Unavailable>
    /**
     * Keeps the user out until the account is enabled: its sessions end, and with them its sockets and streams, within a
     * second on every node; nobody can log in, and scheduled messages are refused. Nothing changes for others.
     */
    readonly disable: (actor: AuditActor, userId: UserId) => Effect.Effect<void, NotFound | Unavailable>
    /** Lets the user log in again. */
    readonly enable: (actor: AuditActor, userId: UserId) => Effect.Effect<void, NotFound | Unavailable>
    /** Ends all sessions of the user, who may log in again, and the tokens of a bot. */
    readonly endSessions: (actor: AuditActor, userId: UserId) => Effect.Effect<void, NotFound | Unavailable>
    /**
     * Deletes the account as its user can (see `AccountClosing`), without the password. After a failure some groups may be
     * left already, and repeating it is safe until it has succeeded; then it is `NotFound`. With "erase" everything that the
     * user has written is erased too, soon after: see `Erasures`.
     */
    readonly delete: (
      actor: AuditActor,
      userId: UserId,
      messages?: MessagesOfDeleted
    ) => Effect.Effect<void, NotFound | Unavailable>
  }
>()("chat/services/AccountAdmin") {
  /** The rules, on any `AccountAdminStorage`. */
  static readonly layerNoDeps = Layer.effect(
    AccountAdmin,
    Effect.gen(function* () {
      const { limits } = yield* Settings
      const sessions = yield* Sessions
      const members = yield* Members
      const storage = yield* AccountAdminStorage

      /** Does an act and makes the ends of sessions known; `closed` says that the account was disabled. */
      const act = (done: Effect.Effect<Act, Unavailable>, closed = false) =>
        Effect.asVoid(sessions.ending(Effect.flatMap(done, endedBy), closed))

      return AccountAdmin.of({
        list: Effect.fn("AccountAdmin.list")(function* ({ query = "", status }, page) {
          if (!Schema.is(Text)(query)) return yield* invalid("query", "must be well-formed text without NUL")
          yield* checkLimit(page, limits.pageSize)
          const after = page.cursor === undefined ? "" : yield* cursor.decode(page.cursor)
          const text = folded(query)
          const wanted = text.includes("@") ? { email: text, prefix: "", status } : { prefix: text, status }
          const rows = yield* storage.list(wanted, after, page.limit + 1)
          const items = rows.slice(0, page.limit).map(toAccount)
          return pageOf(rows, page.limit, items, ({ username }) => cursor.encode(username))
        }),
        get: Effect.fn("AccountAdmin.get")(function* (userId) {
          const row = yield* storage.find(userId)
          return row === undefined ? yield* noUser : toAccount(row)
        }),
        disable: Effect.fn("AccountAdmin.disable")(function* (actor, userId) {
          yield* act(storage.disable(userId, actor, yield* DateTime.nowAsDate), true)
        }),
        enable: Effect.fn("AccountAdmin.enable")((actor, userId) => act(storage.enable(userId, actor))),
        endSessions: Effect.fn("AccountAdmin.endSessions")(function* (actor, userId) {
          yield* act(storage.endSessions(userId, actor, yield* DateTime.nowAsDate))
        }),
        delete: Effect.fn("AccountAdmin.delete")(function* (actor, userId, messages = "keep") {
          // As when users delete their own accounts: whoever adds the user again and again would keep this from ending.
          if (!(yield* storage.beginClosing(userId))) return yield* noUser
          const once = Effect.gen(function* () {
            yield* members.leaveAll(userId)
            const done = yield* storage.delete(userId, actor, yield* DateTime.nowAsDate, messages)
            if (done.outcome === "in-groups") return false
            yield* act(Effect.succeed(done), true)
            return true
          })
          yield* Effect.repeat(Effect.uninterruptible(once), { until: (deleted) => deleted })
        })
      })
    })
  )
}
