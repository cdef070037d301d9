import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Random, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Credentials } from "../../src/client/Credentials.ts"
import { Realtime } from "../../src/client/Realtime.ts"
import type { ChatEvent } from "../../src/client/Session.ts"
import type { ChatState, ConversationState } from "../../src/client/state/State.ts"
import { type Database, memoryDatabase } from "../../src/client/storage/Database.ts"
import { ClientMessageId } from "../../src/domain/Ids.ts"
import type { Message } from "../../src/domain/Message.ts"
import { randomOf } from "../support/Random.ts"
import { SimulatedService, simulatedNetwork, userId } from "../support/SimulatedService.ts"

const seeds = Array.from({ length: 16 }, (_, index) => index + 1)

/** The order of reactions is not promised. */
const comparable = (message: Message) => ({
  ...message,
  reactions: [...message.reactions].sort((a, b) => (a.emoji < b.emoji ? -1 : 1))
})

const shown = ({ conversation, hasBefore, messages }: ConversationState) => ({
  conversation: {
    ...conversation,
    lastMessage: conversation.lastMessage && comparable(conversation.lastMessage)
  },
  ...(messages !== null && { messages: messages.map(comparable), hasBefore })
})

/** Whether each durable event came once and in order; only an unknown event, `added` or `reset` may leave some out. */
const inOrder = (events: ReadonlyArray<ChatEvent>, isUnknown: (seq: number) => boolean) => {
  let next: number | undefined
  for (const event of events) {
    if (event.event === "conversation.reset" || event.event === "conversation.added") next = undefined
    if (!("seq" in event)) continue
    while (next !== undefined && next < event.seq && isUnknown(next)) next++
    if (next !== undefined && event.seq !== next) return false
    next = event.seq + 1
  }
  return true
}

/** Every second client ends a few times and starts again with what it has stored, as a page does that is loaded again. */
const isStored = (seed: number) => seed % 2 === 0

describe("the realtime client on a bad network", () => {
  it.effect.each(seeds)("ends with the state that a fresh fetch shows (seed %i)", (seed) =>
    Effect.gen(function* () {
      const random = randomOf(seed)
      const chance = (n: number) => Math.floor(random() * n)
      const service = new SimulatedService()
      for (let n = 0; n < 3; n++) service.create()
      const weather = { healthy: false }
      const network = yield* simulatedNetwork(service, random, weather)
      const credentials = Layer.succeed(Credentials, {
        userId: service.me,
        token: Effect.succeed("token"),
        renewed: () => Effect.succeed("token")
      })
      const memory = memoryDatabase()
      let crashed = false
      const database: Database = { ...memory, write: async (changes) => (crashed ? undefined : memory.write(changes)) }
      let received: Array<ChatEvent> = []
      const latest = new Map<string, number>()
      const goneBack: Array<string> = []
      const watch = ({ conversations }: ChatState) => {
        for (const { conversation, messages } of conversations.values())
          for (const { changedSeq, id } of [
            ...(messages ?? []),
            ...(conversation.lastMessage ? [conversation.lastMessage] : [])
          ]) {
            if (changedSeq < (latest.get(id) ?? 0)) goneBack.push(`${id} ${changedSeq}`)
            latest.set(id, Math.max(latest.get(id) ?? 0, changedSeq))
          }
      }

      const start = Effect.gen(function* () {
        const scope = yield* Scope.make()
        const context = yield* Realtime.layer({
          url: "http://simulated",
          openSocket: network.open,
          database: isStored(seed) ? database : undefined
        }).pipe(Layer.provide(credentials), Layer.buildWithScope(scope))
        const client = Context.get(context, Realtime)
        const into: Array<ChatEvent> = []
        received = into
        latest.clear()
        yield* Effect.forkIn(
          Stream.runForEach(client.events, (event) => Effect.sync(() => into.push(event))),
          scope
        )
        yield* Effect.forkIn(
          Stream.runForEach(client.changes, (state) => Effect.sync(() => watch(state))),
          scope
        )
        return { client, scope }
      })
      let { client, scope } = yield* start
      yield* Effect.addFinalizer((exit) => Effect.suspend(() => Scope.close(scope, exit)))
      /** Ends the client, with or without the time to store its state, and starts it again. */
      const restart = Effect.gen(function* () {
        crashed = chance(2) === 0
        yield* Scope.close(scope, Exit.void)
        crashed = false
        const next = yield* start
        client = next.client
        scope = next.scope
        const { conversations } = yield* client.state
        if (conversations.size > 0) restored++
      })
      let restored = 0

      const room = () => service.rooms[chance(service.rooms.length)] ?? service.create()
      const at = (act: (one: ReturnType<typeof room>, seq: number) => void) => {
        const one = room()
        act(one, 1 + chance(one.log.length))
      }
      let sent = 0
      const others: ReadonlyArray<() => void> = [
        () => service.send(room(), userId(1 + chance(2)), `body ${chance(1000)}`),
        () => service.send(room(), userId(1), "you there", { mentions: [service.me] }),
        () => service.send(room(), userId(2), "a reply", { replySeq: chance(20) }),
        () => service.send(room(), userId(2), "in the thread", { rootSeq: chance(20) }),
        () => at((one, seq) => service.edit(one, seq, `edited ${chance(1000)}`)),
        () => at((one, seq) => service.remove(one, seq)),
        () => at((one, seq) => service.react(one, seq, userId(chance(3)), ["👍", "🎉"][chance(2)] ?? "")),
        () => at((one, seq) => service.pin(one, seq)),
        () => at((one, seq) => service.read(one, seq, chance(3) === 0)),
        () => service.rename(room(), `title ${chance(100)}`),
        () => service.joined(room(), 10 + chance(50)),
        () => service.left(room(), 10 + chance(50)),
        () => service.surprise(room()),
        () => service.archive(room()),
        () => chance(6) === 0 && service.toggle(room()),
        () => {
          for (let n = 0; n < 12; n++) service.send(room(), userId(1), `burst ${n}`)
        }
      ]
      const mine: ReadonlyArray<() => Effect.Effect<unknown, unknown>> = [
        () => client.open(room().id),
        () => client.loadOlder(room().id),
        () => {
          const clientMessageId = ClientMessageId.make(`mine-${++sent}`)
          return client.send({ conversationId: room().id, clientMessageId, body: `mine ${sent}` })
        }
      ]
      for (let step = 0; step < 150; step++) {
        others[chance(others.length)]?.()
        const effect = mine[chance(mine.length * 4)]?.()
        if (effect !== undefined) yield* Effect.forkIn(Effect.ignore(effect), scope)
        if (isStored(seed) && step % 40 === 39) yield* restart
        yield* TestClock.adjust(Math.ceil(random() * 800))
      }
      weather.healthy = true
      yield* TestClock.adjust("3 minutes")

      const state = yield* client.state
      assert.strictEqual(state.connection.status, "online")
      assert.deepStrictEqual(
        state.sending.filter(({ status }) => status !== "failed"),
        []
      )
      const rooms = service.rooms.filter((one) => one.mine !== null)
      assert.deepStrictEqual(new Set(state.conversations.keys()), new Set(rooms.map(({ id }) => id)))
      for (const one of rooms) {
        const held = state.conversations.get(one.id)
        if (held === undefined) return assert.fail("no such conversation")
        const history = service.history(one)
        const first = held.hasBefore ? (held.messages?.[0]?.seq ?? 0) : 0
        const fresh: ConversationState = {
          ...held,
          conversation: service.conversation(one),
          messages: held.messages && history.filter(({ seq }) => seq >= first),
          hasBefore: held.messages === null ? held.hasBefore : history.some(({ seq }) => seq < first)
        }
        assert.deepStrictEqual(shown(held), shown(fresh))
      }
      for (const { id, log } of rooms) {
        const events = received.filter(({ conversationId }) => conversationId === id)
        assert.isTrue(inOrder(events, (seq) => log[seq - 1]?.event === "message.levitated"))
      }
      // No message was shown in an older state than before.
      assert.deepStrictEqual(goneBack, [])
      assert.isAbove(network.opened(), 1)
      if (isStored(seed)) assert.isAbove(restored, 0)
    }).pipe(Random.withSeed(seed), Effect.scoped)
  )
})
