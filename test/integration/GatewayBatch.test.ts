import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { ClientMessageId, ConversationId, UserId } from "../../src/domain/Ids.ts"
import { Messages } from "../../src/services/messages/Messages.ts"
import { api, connect } from "../support/Client.ts"
import { gatewayService, Service } from "../support/GatewayService.ts"

/** A user with a conversation of `count` messages. */
const filled = Effect.fnUntraced(function* (count: number) {
  const { url } = yield* Service
  const http = api(url)
  const ann = yield* http.register("ann")
  const id = yield* http.dm(ann, yield* http.register("bob"))
  const messages = yield* Messages
  for (let n = 1; n <= count; n++)
    yield* messages.send(UserId.make(ann.id), ConversationId.make(id), {
      clientMessageId: ClientMessageId.make(`m${n}`),
      body: `body ${n}`
    })
  return { ann, id, url }
})

layer(gatewayService(), { excludeTestServices: true })("arrays of events", (it) => {
  it.effect("go to a client with the capability `batch`, in the same order and with the same items", () =>
    Effect.gen(function* () {
      const { ann, id, url } = yield* filled(50)
      const [plain, batching] = [yield* connect(url), yield* connect(url)]
      const expected = yield* plain.ready(ann.token, { cursors: { [id]: 1 } })
      const got = yield* batching.ready(ann.token, { cursors: { [id]: 1 }, caps: ["something", "batch"] })
      assert.deepStrictEqual(
        got.slice(1).map(({ json }) => json),
        expected.slice(1).map(({ json }) => json)
      )
      assert.strictEqual(got.length, 52)
      assert.deepStrictEqual(plain.arrays, [])
      assert.isAtLeast(Math.max(...batching.arrays), 2)
      assert.isAtLeast(Math.min(...batching.arrays), 2, "an item that leaves alone is no array")
    })
  )

  it.effect("hold live events and answers too, and are not sent to clients without the capability", () =>
    Effect.gen(function* () {
      const { ann, id, url } = yield* filled(0)
      const [plain, batching] = [yield* connect(url), yield* connect(url)]
      yield* plain.ready(ann.token, { caps: [] })
      yield* batching.ready(ann.token, { caps: ["batch"] })
      const sends = Array.from({ length: 8 }, (_, n) =>
        batching.request("message.send", { conversationId: id, clientMessageId: `live${n}`, body: "x" })
      )
      for (const client of [plain, batching]) {
        yield* client.seq(id, 9)
        assert.deepStrictEqual(client.seqs(id), [2, 3, 4, 5, 6, 7, 8, 9])
      }
      for (const sent of sends) yield* batching.answer(sent)
      assert.deepStrictEqual(plain.arrays, [])
      assert.isNotEmpty(batching.arrays)
    })
  )
})
