import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { orUnavailable } from "../platform/Sql.ts"
import { Uploaders } from "./Uploaders.ts"

/** The kinds of users on PostgreSQL. */
export const layer = Layer.effect(
  Uploaders,
  Effect.map(SqlClient.SqlClient, (sql) =>
    Uploaders.of({
      isGuest: (userId) =>
        sql`SELECT FROM users WHERE id = ${userId}::uuid AND kind = 'guest'`.pipe(
          Effect.map((rows) => rows.length > 0),
          orUnavailable
        )
    })
  )
)
