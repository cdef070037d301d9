import { Context, Effect, Layer, Option, Stream } from "effect"
import type {
  ExportedConversation,
  ExportedMarks,
  ExportedMessage,
  ExportedSession,
  ExportLine
} from "../../domain/AccountExport.ts"
import { beforeEveryId, ConversationId, SessionId, type UserId } from "../../domain/Ids.ts"
import type { Page, PageRequest } from "../../domain/Page.ts"
import type { InvalidRequest, NotFound, Unavailable } from "../../domain/Problem.ts"
import { noUser } from "../../domain/Refusals.ts"
import { Blocks } from "../conversations/Blocks.ts"
import type { UserRow } from "../identity/Rows.ts"
import { Drafts } from "../messages/Drafts.ts"
import { ScheduledMessages } from "../messages/ScheduledMessages.ts"
import { Settings } from "../platform/Settings.ts"
import { toAccount } from "./AccountAdmin.ts"
import type { AuditActor } from "./Audit.ts"

/** A conversation of an export, and the head of its log. */
type ExportRow = ExportedConversation & { readonly head: number }

/** Where an export is read from, piece by piece. */
export class AccountExportStorage extends Context.Service<
  AccountExportStorage,
  {
    /** The account, unless it is deleted, with a line in the audit log. */
    readonly begin: (userId: UserId, actor: AuditActor) => Effect.Effect<UserRow | undefined, Unavailable>
    /** The conversations that the user is or was a member of, after an id, in the order of ids. */
    readonly conversations: (
      userId: UserId,
      after: ConversationId,
      limit: number
    ) => Effect.Effect<ReadonlyArray<ExportRow>, Unavailable>
    /** The messages of the user in a range of the log, above `from` and up to `through`, without deleted ones. */
    readonly messages: (
      userId: UserId,
      conversationId: ConversationId,
      from: number,
      through: number
    ) => Effect.Effect<ReadonlyArray<ExportedMessage>, Unavailable>
    /** The messages in such a range that the user has saved, hidden, reacted to or voted on, in their order. */
    readonly marks: (
      userId: UserId,
      conversationId: ConversationId,
      from: number,
      through: number
    ) => Effect.Effect<ReadonlyArray<ExportedMarks>, Unavailable>
    /** The sessions of the user after an id, in the order of ids, with those that have ended and are not purged yet. */
    readonly sessions: (
      userId: UserId,
      after: SessionId,
      limit: number
    ) => Effect.Effect<ReadonlyArray<ExportedSession>, Unavailable>
  }
>()("chat/services/AccountExportStorage") {}

/** How much of a log is looked through at a time, whosever messages it has, so that no statement takes long. */
const window = 2000

/** Makes the function that makes a line of its data. */
const as =
  <Kind extends ExportLine["kind"]>(kind: Kind) =>
  <Data>(data: Data) => ({ kind, data })

/** Exports of what the service has of a user, for users who ask for their data. */
export class AccountExport extends Context.Service<
  AccountExport,
  {
    /**
     * Begins an export, with a line in the audit log, and gives its lines: the profile, each conversation with the user's
     * settings and then the user's messages in it and marks on messages, drafts, scheduled messages, blocks, sessions, and
     * `end`. They are read as the stream is, a page at a time. `NotFound` for an account that does not exist or is deleted.
     */
    readonly open: (
      actor: AuditActor,
      userId: UserId
    ) => Effect.Effect<Stream.Stream<ExportLine, Unavailable>, NotFound | Unavailable>
  }
>()("chat/services/AccountExport") {
  /** The rules, on any `AccountExportStorage`. */
  static readonly layerNoDeps = Layer.effect(
    AccountExport,
    Effect.gen(function* () {
      const { pageSize } = (yield* Settings).limits
      const storage = yield* AccountExportStorage
      const blocks = yield* Blocks
      const drafts = yield* Drafts
      const scheduled = yield* ScheduledMessages

      /** All items of a list, page by page. */
      const all = <A>(list: (page: PageRequest) => Effect.Effect<Page<A>, InvalidRequest | Unavailable>) =>
        Stream.paginate<string | undefined, A, Unavailable>(undefined, (cursor) =>
          list({ limit: pageSize, cursor }).pipe(
            Effect.catchTag("InvalidRequest", Effect.die),
            Effect.map(({ items, nextCursor }) => [items, Option.fromUndefinedOr(nextCursor)])
          )
        )

      const contents = (userId: UserId, { head, id }: ExportRow) =>
        Stream.paginate<number, ExportLine, Unavailable>(0, (from) =>
          Effect.gen(function* () {
            const messages = yield* storage.messages(userId, id, from, from + window)
            const marks = yield* storage.marks(userId, id, from, from + window)
            return [
              [
                ...messages.map((data): ExportLine => ({ kind: "message", data })),
                ...marks.map((data): ExportLine => ({ kind: "marks", data }))
              ],
              from + window < head ? Option.some(from + window) : Option.none()
            ]
          })
        )

      const conversations = (userId: UserId) =>
        Stream.paginate<ConversationId, ExportRow, Unavailable>(ConversationId.make(beforeEveryId), (after) =>
          Effect.map(storage.conversations(userId, after, pageSize), (rows) => {
            const last = rows.length === pageSize ? rows.at(-1) : undefined
            return [rows, Option.fromUndefinedOr(last?.id)]
          })
        ).pipe(
          Stream.flatMap((row) => {
            const { head: _, ...data } = row
            return Stream.concat(Stream.make<[ExportLine]>({ kind: "conversation", data }), contents(userId, row))
          })
        )

      const sessions = (userId: UserId) =>
        Stream.paginate<SessionId, ExportedSession, Unavailable>(SessionId.make(beforeEveryId), (after) =>
          Effect.map(storage.sessions(userId, after, pageSize), (rows) => {
            const last = rows.length === pageSize ? rows.at(-1) : undefined
            return [rows, Option.fromUndefinedOr(last?.id)]
          })
        )

      return AccountExport.of({
        open: Effect.fn("AccountExport.open")(function* (actor, userId) {
          const user = yield* storage.begin(userId, actor)
          if (user === undefined) return yield* noUser
          const parts: ReadonlyArray<Stream.Stream<ExportLine, Unavailable>> = [
            Stream.make(as("profile")(toAccount(user))),
            conversations(userId),
            Stream.map(
              all((page) => drafts.list(userId, page)),
              as("draft")
            ),
            Stream.map(
              all((page) => scheduled.list(userId, page)),
              as("scheduled-message")
            ),
            Stream.map(
              all((page) => blocks.list(userId, page)),
              as("block")
            ),
            Stream.map(sessions(userId), as("session")),
            Stream.make<[ExportLine]>({ kind: "end" })
          ]
          return Stream.flatten(Stream.fromIterable(parts))
        })
      })
    })
  )
}
