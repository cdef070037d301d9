import { Context, Effect, Layer, Predicate } from "effect"
import { SqlClient } from "effect/sql"
import type { AuditEntry } from "../../domain/Audit.ts"
import type { ServiceTokenId, UserId } from "../../domain/Ids.ts"
import type { Page, PageRequest } from "../../domain/Page.ts"
import type { InvalidRequest, Unavailable } from "../../domain/Problem.ts"
import { makeGroupCommit, queueSize } from "../platform/load/GroupCommit.ts"
import { checkLimit, cursorOf, Place, pageOf } from "../platform/Paging.ts"
import { Settings } from "../platform/Settings.ts"
import { orUnavailable } from "../platform/Sql.ts"

/** The one who acts: the holder of a service token, or a user of the operating system at the command line. */
export type AuditActor = `token:${ServiceTokenId}` | `cli:${string}`

/** A row of `audit_log`. */
export interface AuditRow {
  readonly id: number
  readonly at: Date
  readonly actor: string
  readonly act: string
  readonly targetKind: string
  readonly targetId: string
  readonly detail: AuditEntry["detail"]
}

const cursor = cursorOf(Place)

const toEntry = ({ at, id, targetId, targetKind, ...row }: AuditRow): AuditEntry => ({
  id: String(id),
  at: at.toISOString(),
  actor: row.actor,
  act: row.act,
  target: { kind: targetKind, id: targetId },
  detail: row.detail
})

/** A line to write. */
export type AuditLine = Omit<AuditRow, "id" | "at">

/** The longest list of ids that a line repeats. */
const mostIds = 100

const isText = (value: unknown) => typeof value === "string"

/** The ids among the data of an operation: what it was about, and nothing that anybody wrote. */
const idsOf = (data: unknown): AuditLine["detail"] =>
  Object.fromEntries(
    Object.entries(Predicate.isObject(data) ? data : {}).filter(([key, value]) =>
      key.endsWith("Ids")
        ? Array.isArray(value) && value.length <= mostIds && value.every(isText)
        : key.endsWith("Id") && isText(value)
    )
  )

/**
 * The audit log: one line for each act of an operator that changed or exported something. The act itself writes the
 * line, in the same transaction (`add_audit` in SQL), and nobody can change or delete it. What a program does in the name
 * of a user is done by many other functions, so its line is written before the act.
 */
export class Audit extends Context.Service<
  Audit,
  {
    /** Reads a page of the log, the newest line first. */
    readonly list: (page: PageRequest) => Effect.Effect<Page<AuditEntry>, InvalidRequest | Unavailable>
    /**
     * Writes that a program is about to do `act` in the name of a user, with the ids in `data`; many lines at a time go into
     * one statement. When it has failed, the act must not be done.
     */
    readonly acting: (
      program: ServiceTokenId,
      userId: UserId,
      act: string,
      data: unknown
    ) => Effect.Effect<void, Unavailable>
  }
>()("chat/services/Audit") {
  /**
   * The rules, on anything that reads `limit` lines with lower ids than `below`, the newest first, and that writes lines in
   * their order.
   */
  static readonly make = (
    read: (below: number, limit: number) => Effect.Effect<ReadonlyArray<AuditRow>, Unavailable>,
    write: (lines: ReadonlyArray<AuditLine>) => Effect.Effect<void, Unavailable>
  ) =>
    Effect.gen(function* () {
      const { limits } = yield* Settings
      const { submit } = yield* makeGroupCommit<AuditLine, void, never>({
        queue: "audit",
        ...queueSize,
        commit: (batch) =>
          Effect.gen(function* () {
            const written = yield* Effect.exit(write(batch.map(({ input }) => input)))
            for (const pending of batch) pending.answer(written)
          })
      })
      return Audit.of({
        acting: (program, userId, act, data) =>
          submit({ actor: `token:${program}`, act, targetKind: "user", targetId: userId, detail: idsOf(data) }),
        list: Effect.fn("Audit.list")(function* (page) {
          yield* checkLimit(page, limits.pageSize)
          const below = page.cursor === undefined ? Number.MAX_SAFE_INTEGER : yield* cursor.decode(page.cursor)
          const rows = yield* read(below, page.limit + 1)
          return pageOf(rows, page.limit, rows.slice(0, page.limit).map(toEntry), ({ id }) => cursor.encode(id))
        })
      })
    })

  static readonly layer = Layer.effect(
    Audit,
    Effect.flatMap(SqlClient.SqlClient, (sql) =>
      Audit.make(
        (below, limit) =>
          sql<AuditRow>`SELECT * FROM audit_log WHERE id < ${below}::bigint ORDER BY id DESC LIMIT ${limit}`.pipe(
            orUnavailable
          ),
        (lines) =>
          sql`SELECT add_audit(l ->> 'actor', l ->> 'act', l ->> 'targetKind', l ->> 'targetId', l -> 'detail')
            FROM jsonb_array_elements(${JSON.stringify(lines)}::text::jsonb) AS l`.pipe(Effect.asVoid, orUnavailable)
      )
    )
  )
}
