import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { LogEpoch, makeLogEpoch } from "../../src/services/platform/LogEpoch.ts"
import { api, connect } from "../support/Client.ts"
import { gatewayService, Service } from "../support/GatewayService.ts"

let sends = 0

/** Two members of a group with messages up to the seq `head`, and a socket that has seen them. */
const start = Effect.gen(function* () {
  const { url } = yield* Service
  const http = api(url)
  const ann = yield* http.register("ann")
  const id = yield* http.group(ann)
  const client = yield* connect(url)
  const send = Effect.suspend(() =>
    client.ok("message.send", { conversationId: id, clientMessageId: `e${++sends}`, body: "x" })
  )
  return { url, ann, id, client, send }
})

const Gateway = gatewayService({ timers: { repair: 200 } }).pipe(
  Layer.provideMerge(Layer.effect(LogEpoch, makeLogEpoch))
)

layer(Gateway, { excludeTestServices: true })("a log that was replaced", (it) => {
  it.effect("resets open sockets when it ends earlier, and goes on from there", () =>
    Effect.gen(function* () {
      const { ann, client, id, send, url } = yield* start
      const sql = yield* SqlClient.SqlClient
      yield* client.ready(ann.token)
      for (let n = 0; n < 9; n++) yield* send
      yield* client.seq(id, 10)

      // The last messages are lost, as after a failover to a standby that had not received them.
      yield* sql`DELETE FROM messages WHERE conversation_id = ${id}::uuid AND seq > 6`
      yield* sql`UPDATE conversation_heads SET seq = 6 WHERE conversation_id = ${id}::uuid`
      const reset = yield* client.event("conversation.reset", id)
      assert.deepStrictEqual(reset.json, { event: "conversation.reset", conversationId: id, data: { seq: 6 } })

      const seen = client.seqs(id).length
      for (let n = 0; n < 6; n++) yield* send
      yield* client.seq(id, 12)
      assert.deepStrictEqual(client.seqs(id).slice(seen), [7, 8, 9, 10, 11, 12])

      const later = yield* connect(url)
      const frames = yield* later.ready(ann.token, { cursors: { [id]: 20 } })
      assert.deepInclude(
        frames.map(({ json }) => json),
        { event: "conversation.reset", conversationId: id, data: { seq: 12 } }
      )
    })
  )

  it.effect("resets open sockets and cursors of another epoch, although it is as long", () =>
    Effect.gen(function* () {
      const epoch = yield* LogEpoch
      epoch.observe("one")
      const { ann, client, id, send, url } = yield* start
      const [answer] = yield* client.ready(ann.token)
      assert.deepInclude(answer?.json, { ok: { ...(answer?.ok ?? {}), epoch: "one" } })
      yield* send
      yield* client.seq(id, 2)

      epoch.observe("two")
      const reset = yield* client.event("conversation.reset", id)
      assert.deepStrictEqual(reset.json, { event: "conversation.reset", conversationId: id, data: { seq: 2 } })
      yield* send
      yield* client.seq(id, 3)

      const resets = Effect.fnUntraced(function* (rest: object) {
        const later = yield* connect(url)
        const frames = yield* later.ready(ann.token, { cursors: { [id]: 3 }, ...rest })
        return frames.filter(({ event }) => event === "conversation.reset").length
      })
      assert.deepStrictEqual(
        [yield* resets({ epoch: "one" }), yield* resets({ epoch: "two" }), yield* resets({})],
        [1, 0, 0]
      )
    })
  )
})
