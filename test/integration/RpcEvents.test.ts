import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Queue, Stream } from "effect"
import { ClientMessageId, UserId } from "../../src/domain/Ids.ts"
import type { Told } from "../../src/domain/Told.ts"
import { fakeService, HttpService, newcomer } from "../support/HttpService.ts"
import { rpcClient, withToken } from "../support/Rpc.ts"

type Client = Effect.Success<ReturnType<typeof rpcClient>>

/** Reads a stream in the background: what comes next of a name, and how it ended. */
const listen = Effect.fnUntraced(function* (
  rpc: Client,
  token: string,
  from: { cursors?: Record<string, number> } = {}
) {
  const told = yield* Queue.unbounded<Told>()
  const ended = yield* rpc["events.stream"](from, { headers: { authorization: `Bearer ${token}` } }).pipe(
    Stream.runForEach((event) => Queue.offer(told, event)),
    Effect.forkScoped
  )
  const next = <const Name extends Told["event"]>(name: Name) =>
    Queue.take(told).pipe(
      Effect.repeat({ until: (event): event is Extract<Told, { event: Name }> => event.event === name })
    )
  return { ended: Fiber.join(ended), next }
})

for (const transport of ["http", "websocket"] as const) {
  layer(fakeService({ limits: { outboxFrames: 64 } }), { excludeTestServices: true })(
    `events.stream over ${transport}`,
    (it) => {
      const client = HttpService.use(({ url }) => rpcClient(url, transport))

      const pair = Effect.gen(function* () {
        const rpc = yield* client
        const ann = yield* newcomer("ann")
        const bob = yield* newcomer("bob")
        const { id } = yield* withToken(ann.token)(
          rpc["conversation.create"]({ kind: "dm", userId: UserId.make(bob.id) })
        )
        // Over a connection of its own: a client of Effect's that does not read its stream reads no answers either.
        const sender = yield* client
        const say = (text: string) =>
          withToken(ann.token)(
            sender["message.send"]({ conversationId: id, clientMessageId: ClientMessageId.make(text), body: text })
          )
        return { rpc, ann, bob, id, say }
      })

      it.effect("starts with the list, and tells what happens", () =>
        Effect.gen(function* () {
          const { bob, id, rpc, say } = yield* pair
          const { next } = yield* listen(rpc, bob.token)
          const ready = yield* next("ready")
          assert.deepStrictEqual(
            ready.data.conversations?.map((each) => each.id),
            [id]
          )
          const { message } = yield* say("hello")
          const created = yield* next("message.created")
          assert.deepStrictEqual(created.data.message, message)
        })
      )

      it.effect("goes on after the cursors, with every event once and in order", () =>
        Effect.gen(function* () {
          const { bob, id, rpc, say } = yield* pair
          yield* Effect.forEach(["a", "b", "c"], say)
          const { next } = yield* listen(rpc, bob.token, { cursors: { [id]: 2 } })
          assert.strictEqual((yield* next("message.created")).seq, 3)
          assert.strictEqual((yield* next("message.created")).seq, 4)
          assert.isTrue((yield* next("ready")).data.resumed)
          yield* say("d")
          assert.strictEqual((yield* next("message.created")).seq, 5)
        })
      )

      it.effect("ends with the session, and says so", () =>
        Effect.gen(function* () {
          const { bob, rpc } = yield* pair
          const { ask } = yield* HttpService
          const { ended, next } = yield* listen(rpc, bob.token)
          yield* next("ready")
          yield* ask("/v1/auth/logout", { method: "POST", token: bob.token })
          const error = yield* Effect.flip(ended)
          assert.strictEqual(error._tag === "Unauthenticated" ? error.code : error._tag, "session-ended")
        })
      )

      it.effect("a reader that stands still gets what it missed from the log, and holds up nobody", () =>
        Effect.gen(function* () {
          const { bob, id, rpc, say } = yield* pair
          const count = 150
          const later = Array.from({ length: count }, (_, i) => `later-${i}`)
          const seqs: Array<number> = []
          const reading = yield* rpc["events.stream"](
            { cursors: { [id]: 1 } },
            { headers: { authorization: `Bearer ${bob.token}` } }
          ).pipe(
            Stream.filter((event) => event.event === "message.created"),
            Stream.tap(({ seq }) =>
              Effect.gen(function* () {
                seqs.push(seq)
                // While it holds the first one, the others are sent to the end.
                if (seq === 2) yield* Effect.forEach(later, say)
              })
            ),
            Stream.take(count + 1),
            Stream.runDrain,
            Effect.forkScoped
          )
          yield* say("first")
          yield* Fiber.join(reading)
          assert.deepStrictEqual(
            seqs,
            Array.from({ length: count + 1 }, (_, i) => i + 2)
          )
        })
      )
    }
  )
}
