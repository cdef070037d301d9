import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { MessageChanges } from "../../../src/services/messages/MessageChanges.ts"
import * as MessageChangesSql from "../../../src/services/messages/MessageChangesSql.ts"
import * as MessageChangesMemory from "../../../src/testing/memory/MessageChanges.ts"
import * as SettingsMemory from "../../../src/testing/memory/Settings.ts"
import { chat, post, twoOfUs } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { editWindowContract, messageChangesContract } from "./MessageChanges.contract.ts"

const shortWindow = SettingsMemory.layerMemory({ limits: { editWindow: 1 } })
const late = {
  fake: Layer.fresh(MessageChangesMemory.layerMemory).pipe(Layer.provide(shortWindow), Layer.provideMerge(chat.fake)),
  sql: Layer.fresh(MessageChangesSql.layer).pipe(Layer.provide(shortWindow), Layer.provideMerge(chat.sql))
}

describe("fake", () => {
  messageChangesContract(chat.fake)
  editWindowContract(late.fake)
})

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    messageChangesContract(chat.sql.pipe(Layer.provideMerge(database.layer)))
    editWindowContract(late.sql.pipe(Layer.provideMerge(database.layer)))

    layer(chat.sql.pipe(Layer.provideMerge(database.layer)))("a deletion", (it) => {
      it.effect("is as old as its event, however long that takes to write", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* sql`CREATE FUNCTION take_long() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_sleep(0.01); RETURN NEW; END $$`
          yield* sql`CREATE TRIGGER slow BEFORE INSERT ON conversation_events FOR EACH ROW EXECUTE FUNCTION take_long()`
          const { a, id } = yield* twoOfUs
          const message = yield* post(id, a)
          yield* MessageChanges.use((changes) => changes.delete(a, id, message.id))
          const rows = yield* sql`SELECT m.deleted_at = e.at AS same FROM messages m
            JOIN conversation_events e ON e.conversation_id = m.conversation_id AND e.message_seq = m.seq
            WHERE m.id = ${message.id}::uuid AND e.event = 'message.deleted'`
          assert.deepStrictEqual(rows, [{ same: true }])
        })
      )
    })
  })
}
