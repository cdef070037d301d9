import { assert, describe, it } from "@effect/vitest"
import { operationOf } from "../../src/layers/postgres/SqlOperation.ts"

describe("the operation of a statement", () => {
  for (const [sql, operation] of [
    ["SELECT ord FROM append_message($1::boolean, $2::uuid)", "append_message"],
    ["SELECT * FROM mark_read((SELECT 1), $1)", "mark_read"],
    ["SELECT 1", "select"],
    [
      "\n  SELECT c.id, (SELECT max(x.seq) FROM messages x WHERE x.id = c.id) FROM conversation_members me",
      "select conversation_members"
    ],
    ["SELECT id FROM unnest($1::uuid[]) AS x(id)", "select unnest"],
    ["INSERT INTO users (id) SELECT id FROM other", "insert users"],
    ["UPDATE sessions SET ended_at = $1 WHERE id IN (SELECT id FROM users)", "update sessions"],
    ["delete from event_cursors where id = $1", "delete event_cursors"],
    ["WITH x AS (SELECT 1 FROM a), y AS (DELETE FROM b) SELECT * FROM x JOIN y ON true", "select x"],
    ["SELECT id FROM users FOR UPDATE", "select users"],
    ["COMMIT", "commit"],
    ["", "other"]
  ] as const) {
    it(`${JSON.stringify(sql.trim().slice(0, 60))} is ${operation}`, () =>
      assert.strictEqual(operationOf(sql), operation))
  }
})
