import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Queue, Stream } from "effect"
import { ClientMessageId, UserId } from "../../src/domain/Ids.ts"
import type { ServerEvent } from "../../src/domain/ServerEvent.ts"
import { fakeService, HttpService, newcomer } from "../support/HttpService.ts"
import { rpcClient, withToken } from "../support/Rpc.ts"

type Client = Effect.Success<ReturnType<typeof rpcClient>>

/**
 * Reads a stream in the background, and returns functions for the next event of a name and for the end of the stream.
 */
const listen = Effect.fnUntraced(function* (
  rpc: Client,
  token: string,
  from: { cursors?: Record<string, number> } = {}
) {
  const received = yield* Queue.unbounded<ServerEvent>()
  const ended = yield* rpc["events.stream"](from, { headers: { authorization: `Bearer ${token}` } }).pipe(
    Stream.runForEach((event) => Queue.offer(received, event)),
    Effect.forkScoped
  )
  const next = <const Name extends ServerEvent["event"]>(name: Name) =>
    Queue.take(received).pipe(
      Effect.repeat({ until: (event): event is Extract<ServerEvent, { event: Name }> => event.event === name })
    )
  return { ended: Fiber.join(ended), next }
})

for (const transport of ["http", "websocket"] as const) {
  layer(fakeService({ limits: { outboxFrames: 64, commandsBurst: 500 } }), { excludeTestServices: true })(
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
        // The DM shows to bob before its first message only when bob opens it too.
        yield* withToken(bob.token)(rpc["conversation.create"]({ kind: "dm", userId: UserId.make(ann.id) }))
        // The sender has its own connection: a client of Effect that does not read its stream reads no answers either.
        const sender = yield* client
        const say = (text: string) =>
          withToken(ann.token)(
            sender["message.send"]({ conversationId: id, clientMessageId: ClientMessageId.make(text), body: text })
          )
        return { rpc, ann, bob, id, say }
      })

      it.effect("starts with the list of conversations, and continues with events", () =>
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

      it.effect("continues after the cursors, with every event once and in order", () =>
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

      it.effect("after a removal has nothing more of that conversation", () =>
        Effect.gen(function* () {
          const { ann, bob, id: dm, rpc, say } = yield* pair
          const asAnn = withToken(ann.token)
          const memberIds = [UserId.make(bob.id)]
          const { id } = yield* asAnn(rpc["conversation.create"]({ kind: "group", title: "Us", memberIds }))
          const { next } = yield* listen(rpc, bob.token)
          yield* next("ready")
          yield* asAnn(rpc["member.remove"]({ conversationId: id, userId: UserId.make(bob.id) }))
          assert.strictEqual((yield* next("conversation.removed")).conversationId, id)
          const message = { conversationId: id, clientMessageId: ClientMessageId.make("after"), body: "secret" }
          yield* asAnn(rpc["message.send"](message))
          yield* say("last")
          assert.strictEqual((yield* next("message.created")).conversationId, dm)
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

      it.effect("a reader that pauses gets what it missed from the log, and delays nobody", () =>
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
                // While the reader holds the first event, the others are sent.
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
