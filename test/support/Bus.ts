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
  Redacted,
  References,
  Schedule,
  type Scope
} from "effect"
import { ConversationId } from "../../src/domain/Ids.ts"
import type { NatsPatience } from "../../src/layers/nats/NatsLink.ts"
import { layerNats } from "../../src/layers/nats/NatsPubSub.ts"
import { PubSub } from "../../src/services/bus/PubSub.ts"
import { conversationSubject, type Published, type Subject } from "../../src/services/bus/Subjects.ts"
import type { SettingsShape } from "../../src/services/platform/Settings.ts"

/** Settings of NATS with which a dead link is noticed within 600 milliseconds. */
const hasty = { dialMs: 1000, pingMs: 200, unanswered: 2 }

/** Settings of NATS with which a frozen link is not noticed during a test. */
export const calm = { dialMs: 1000, pingMs: 60_000, unanswered: 2 }

/** Makes a prefix that no other test has. */
export const somePrefix = () => `test-${randomUUID()}`

/** Makes the id and the subject of a new conversation. */
export const someConversation = () => {
  const id = ConversationId.make(randomUUID())
  return { id, subject: conversationSubject(id) }
}

/** Makes a durable event of the conversation; `padding` makes it longer. */
export const eventOf = (conversationId: ConversationId, seq: number, padding = 0): Published => ({
  event: "message.created",
  conversationId,
  seq,
  except: null,
  refersTo: null,
  json: JSON.stringify({ event: "message.created", seq, text: `tab \t, line \n, “çüß 你好 🎈”${"x".repeat(padding)}` })
})

/** The section `nats` of the settings, with defaults. */
export const natsSection = (given: Partial<NonNullable<SettingsShape["nats"]>>) => ({
  address: "nats://127.0.0.1:4222",
  prefix: "chat",
  password: Redacted.make(""),
  tls: false,
  acceptUnsigned: false,
  ...given
})

/** The section `jwt` of the settings, with the key that nodes of a test share. */
export const jwtSection = (given: Partial<SettingsShape["jwt"]> = {}): SettingsShape["jwt"] => ({
  secret: Redacted.make("a key of the nodes of one service"),
  previousSecrets: [],
  algorithm: "HS256",
  issuer: "chat",
  expiration: 3_600_000,
  refreshExpiration: 3_600_000,
  ...given
})

/** Starts the bus of a further node; it ends with the scope. */
export const startNode = (
  address: string,
  prefix: string,
  patience: NatsPatience = hasty,
  more: Partial<NonNullable<SettingsShape["nats"]>> = {},
  jwt: Partial<SettingsShape["jwt"]> = {}
) =>
  Layer.build(layerNats(natsSection({ address, prefix, ...more }), jwtSection(jwt), patience)).pipe(
    Effect.map((context) => Context.get(context, PubSub))
  )

/** Subscribes, and returns a function that waits for the next `n` events. */
export const listen = Effect.fnUntraced(function* (bus: PubSub["Service"], subject: Subject) {
  const arrived = yield* Queue.unbounded<Published>()
  yield* bus.subscribe(subject, (events) => {
    for (const event of events) Queue.offerUnsafe(arrived, event)
  })
  return {
    next: (n: number) => Queue.takeN(arrived, n),
    /** Waits for the event with this seq, and returns all events up to it. */
    upTo: (seq: number) =>
      Effect.gen(function* () {
        const events: Array<Published> = []
        while (events.at(-1)?.seq !== seq) events.push(yield* Queue.take(arrived))
        return events
      }),
    soFar: Queue.clear(arrived)
  }
})

/** The seqs of events, in their order. */
export const seqs = (events: ReadonlyArray<Published>) => events.map(({ seq }) => seq)

/** Waits until the bus of a node is healthy again. */
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

/** The buses of two nodes of one service. */
export const twoNodes = Effect.fnUntraced(function* (address: string) {
  const prefix = somePrefix()
  return { a: yield* startNode(address, prefix), b: yield* startNode(address, prefix) }
})

/** Measures how long the effect takes. */
export const millis = (effect: Effect.Effect<unknown>) =>
  Effect.map(Effect.timed(effect), ([duration]) => Duration.toMillis(duration))

/** Runs a test with a logger that keeps the messages. */
const withLog = <A, E, R>(run: (lines: Array<string>) => Effect.Effect<A, E, R>) => {
  const lines: Array<string> = []
  const keep = Logger.make(({ message }) => {
    lines.push(JSON.stringify(message))
  })
  return run(lines).pipe(Effect.provide([Logger.layer([keep]), Layer.succeed(References.MinimumLogLevel, "Debug")]))
}

/** Declares a test on the real clock; what it logs goes to `lines`. */
export const live = <A, E>(name: string, run: (lines: Array<string>) => Effect.Effect<A, E, Scope.Scope>) =>
  it.live(name, () => withLog(run))
