import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { SessionId, UserId } from "../../domain/Ids.ts"
import { notAGuest, noUser } from "../../domain/Refusals.ts"
import { orTaken } from "../identity/UsersSql.ts"
import { refuse } from "../log/Changes.ts"
import { every } from "../platform/Background.ts"
import { orUnavailable, retryDeadlocks } from "../platform/Sql.ts"
import { GuestStorage, Guests } from "./Guests.ts"
import type { Actor } from "./MemberStorage.ts"

const makeStorage = Effect.map(SqlClient.SqlClient, (sql) =>
  GuestStorage.of({
    claim: Effect.fnUntraced(function* (userId, account) {
      const [row] = yield* sql<{ readonly outcome: string }>`SELECT claim_guest(${userId}::uuid, ${account.email}::text,
        ${account.emailKey}::text, ${account.username}::text, ${account.displayName}::text,
        ${account.searchName}::text, ${account.passwordHash}::text) AS outcome`.pipe(retryDeadlocks, orTaken)
      yield* refuse(row?.outcome, { "no-user": noUser, "no-guest": notAGuest })
    }, orUnavailable),
    leaving: (limit) =>
      sql<Actor>`SELECT conversation_id, user_id FROM conversation_members
        WHERE guest_until <= (SELECT clock_timestamp()) AND left_seq IS NULL
        ORDER BY guest_until LIMIT ${limit}`.pipe(orUnavailable),
    expired: (now, idleSince, limit) =>
      sql<{ readonly userId: UserId; readonly isExpired: boolean }>`SELECT user_id, is_expired FROM check_guests(
        ${now}::timestamptz, ${idleSince}::timestamptz, ${limit}::int)`.pipe(
        Effect.map((rows) => ({
          expired: rows.filter(({ isExpired }) => isExpired).map(({ userId }) => userId),
          more: rows.length === limit
        })),
        orUnavailable
      ),
    close: (userId, now) =>
      sql<{ readonly ended: ReadonlyArray<SessionId> | null }>`
        SELECT ended FROM close_guest(${userId}::uuid, ${now}::timestamptz)`.pipe(
        retryDeadlocks,
        Effect.map(([row]) => row?.ended ?? []),
        orUnavailable
      )
  })
)

/** Guests on PostgreSQL. */
export const layer = Guests.layerNoDeps.pipe(Layer.provide(Layer.effect(GuestStorage, makeStorage)))

/** The job that ends expired guests and memberships, once a minute. */
export const background = Layer.effectDiscard(
  Effect.flatMap(Guests, ({ endDue }) =>
    every("1 minute", "the end of guests", Effect.repeat(endDue, { while: (more) => more }))
  )
)
