import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Random, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Credentials } from "../../src/client/Credentials.ts"
import { Realtime } from "../../src/client/Realtime.ts"
import type { ChatEvent } from "../../src/client/Session.ts"
import type { ChatState, ConversationState } from "../../src/client/State.ts"
import { ClientMessageId } from "../../src/domain/Ids.ts"
import type { Message } from "../../src/domain/Message.ts"
import { randomOf } from "../support/Random.ts"
import { SimulatedService, simulatedNetwork, userId } from "../support/SimulatedService.ts"

const seeds = Array.from({ length: 16 }, (_, index) => index + 1)

/** Reactions are shown in no promised order. */
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

/** Each durable event once and in order; only what is unknown, added or reset may leave some out. */
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

describe("the realtime client on a bad network", () => {
  it.effect.each(seeds)("ends up with what a fresh fetch shows (%i)", (seed) =>
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
      const context = yield* Layer.build(
        Realtime.layer({ url: "http://simulated", openSocket: network.open }).pipe(Layer.provide(credentials))
      )
      const client = Context.get(context, Realtime)
      const told: Array<ChatEvent> = []
      yield* Effect.forkScoped(Stream.runForEach(client.events, (event) => Effect.sync(() => told.push(event))))

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
      yield* Effect.forkScoped(Stream.runForEach(client.changes, (state) => Effect.sync(() => watch(state))))

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
        if (effect !== undefined) yield* Effect.forkScoped(Effect.ignore(effect))
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
        const events = told.filter(({ conversationId }) => conversationId === id)
        assert.isTrue(inOrder(events, (seq) => log[seq - 1]?.event === "message.levitated"))
      }
      // No message was ever shown in an older state than before.
      assert.deepStrictEqual(goneBack, [])
      assert.isAbove(network.opened(), 1)
    }).pipe(Random.withSeed(seed), Effect.scoped)
  )
})
