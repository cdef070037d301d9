import { randomUUID } from "node:crypto"
import { it } from "@effect/vitest"
import {
  Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  Layer,
  Logger,
  Queue,
  References,
  Schedule,
  type Scope
} from "effect"
import { ConversationId } from "../../src/domain/Ids.ts"
import type { NatsPatience } from "../../src/layers/NatsLink.ts"
import { layerNats } from "../../src/layers/NatsPubSub.ts"
import { conversationSubject, type Published, PubSub, type Subject } from "../../src/services/PubSub.ts"

/** Sees a dead link within 600 milliseconds. */
const hasty = { dialMs: 1000, pingMs: 200, unanswered: 2 }

/** Leaves a frozen link alone. */
export const calm = { dialMs: 1000, pingMs: 60_000, unanswered: 2 }

/** A prefix that no other test has. */
export const somePrefix = () => `test-${randomUUID()}`

export const someConversation = () => {
  const id = ConversationId.make(randomUUID())
  return { id, subject: conversationSubject(id) }
}

/** A durable event of the conversation; `padding` makes it longer. */
export const eventOf = (conversationId: ConversationId, seq: number, padding = 0): Published => ({
  event: "message.created",
  conversationId,
  seq,
  except: null,
  refers: null,
  json: JSON.stringify({ event: "message.created", seq, text: `tab \t, line \n, “çüß 你好 🎈”${"x".repeat(padding)}` })
})

/** The bus of one more node; it ends with the scope. */
export const startNode = (address: string, prefix: string, patience: NatsPatience = hasty) =>
  Layer.build(layerNats({ address, prefix }, patience)).pipe(Effect.map((context) => Context.get(context, PubSub)))

/** Subscribes; what it gives back waits for the next `n` events. */
export const listen = Effect.fnUntraced(function* (bus: PubSub["Service"], subject: Subject) {
  const arrived = yield* Queue.unbounded<Published>()
  yield* bus.subscribe(subject, (events) => {
    for (const event of events) Queue.offerUnsafe(arrived, event)
  })
  return {
    next: (n: number) => Queue.takeN(arrived, n),
    /** The events up to the one with this seq. */
    upTo: (seq: number) =>
      Effect.gen(function* () {
        const events: Array<Published> = []
        while (events.at(-1)?.seq !== seq) events.push(yield* Queue.take(arrived))
        return events
      }),
    soFar: Queue.clear(arrived)
  }
})

export const seqs = (events: ReadonlyArray<Published>) => events.map(({ seq }) => seq)

/** Waits for the next time that the bus of a node is back. */
export const comesBack = Effect.fnUntraced(function* (bus: PubSub["Service"]) {
  const back = yield* Deferred.make<void>()
  yield* bus.onReconnect(() => Deferred.doneUnsafe(back, Exit.void))
  return Deferred.await(back)
})

/** Waits until the bus is not healthy. */
export const goesAway = (bus: PubSub["Service"]) =>
  Effect.repeat(
    Effect.sync(() => bus.healthy()),
    { while: (healthy) => healthy, schedule: Schedule.spaced("5 millis") }
  )

/** Two nodes of one service. */
export const twoNodes = Effect.fnUntraced(function* (address: string) {
  const prefix = somePrefix()
  return { a: yield* startNode(address, prefix), b: yield* startNode(address, prefix) }
})

/** How long the effect takes. */
export const millis = (effect: Effect.Effect<unknown>) =>
  Effect.map(Effect.timed(effect), ([duration]) => Duration.toMillis(duration))

/** Runs with a logger that keeps the messages. */
const withLog = <A, E, R>(run: (lines: Array<string>) => Effect.Effect<A, E, R>) => {
  const lines: Array<string> = []
  const keep = Logger.make(({ message }) => {
    lines.push(JSON.stringify(message))
  })
  return run(lines).pipe(Effect.provide([Logger.layer([keep]), Layer.succeed(References.MinimumLogLevel, "Debug")]))
}

/** A test on the real clock; what it logs goes to `lines`. */
export const live = <A, E>(name: string, run: (lines: Array<string>) => Effect.Effect<A, E, Scope.Scope>) =>
  it.live(name, () => withLog(run))
