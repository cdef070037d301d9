import { Clock, Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"

/** The clock that decides what is due. */
export class Time extends Context.Service<
  Time,
  { readonly now: Effect.Effect<Date>; readonly pass: (minutes: number) => Effect.Effect<void> }
>()("chat/test/Time") {
  /** The clock of the fakes, which is the test clock. */
  static readonly layerMemory = Layer.succeed(Time, {
    now: Effect.map(Clock.currentTimeMillis, (millis) => new Date(millis)),
    pass: (minutes) => TestClock.adjust(`${minutes} minutes`)
  })

  /** The clock of PostgreSQL cannot be moved, so the rows that wait for it are moved into the past. */
  static readonly layer = Layer.effect(
    Time,
    Effect.map(SqlClient.SqlClient, (sql) => ({
      now: sql<{ now: Date }>`SELECT clock_timestamp()::timestamptz(3) AS now`.pipe(
        Effect.map(([row]) => row?.now ?? new Date(0)),
        Effect.orDie
      ),
      pass: (minutes) => {
        const span = sql`make_interval(mins => ${minutes}::int)`
        return Effect.orDie(
          Effect.all(
            [
              sql`UPDATE scheduled_messages SET send_at = send_at - ${span}, claimed_until = claimed_until - ${span}`,
              sql`UPDATE messages SET created_at = created_at - ${span}`,
              sql`UPDATE message_lifetimes SET next_at = next_at - ${span}`,
              sql`UPDATE invites SET expires_at = expires_at - ${span}`,
              sql`UPDATE conversation_members SET guest_until = guest_until - ${span} WHERE guest_until IS NOT NULL`,
              sql`UPDATE users SET guest_check_at = guest_check_at - ${span} WHERE guest_check_at IS NOT NULL`
            ],
            { discard: true }
          )
        )
      }
    }))
  )
}
