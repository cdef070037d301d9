import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId } from "../../src/domain/Ids.ts"
import { makeSearchIndex, searchConsumer } from "../../src/services/messages/search/SearchIndex.ts"
import { Indexing } from "../contract/messages/Search.contract.ts"
import { until } from "./Chat.ts"

/** Waits until a consumer of the change feed has nothing to do. What it waits for may be a transaction of another test. */
export const isDone = (consumer: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.map(
      sql<{ waits: string | null }>`SELECT waits FROM consumer_state(${consumer}::text)`,
      ([state]) => state?.waits === null
    )
  )

/** Waits until a consumer of the change feed would be given something. */
export const isReady = (consumer: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    until(
      Effect.map(
        sql<{ waits: string | null }>`SELECT waits FROM consumer_state(${consumer}::text)`,
        ([state]) => state?.waits === "ready"
      )
    )
  )

/** Does the work of an index until nothing is left. */
export const finished = ({ work }: Effect.Success<ReturnType<typeof makeSearchIndex>>) =>
  Effect.repeat(work, { while: (progress) => progress !== "idle" }).pipe(
    Effect.andThen(isDone(searchConsumer)),
    until,
    Effect.orDie
  )

/** Says in the change feed that a log has grown, for rows that a test has written by itself. */
export const feed = (id: ConversationId, firstSeq: number, lastSeq: number) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) =>
      sql`INSERT INTO change_feed (position, conversation_id, first_seq, last_seq)
        VALUES (pg_current_xact_id(), ${id}::uuid, ${firstSeq}::bigint, ${lastSeq}::bigint)`
  )

/** Indexing on a database. */
export const indexing = Layer.effect(
  Indexing,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const index = yield* makeSearchIndex()
    return Indexing.of({
      run: Effect.asVoid(Effect.provideService(finished(index), SqlClient.SqlClient, sql))
    })
  })
)
