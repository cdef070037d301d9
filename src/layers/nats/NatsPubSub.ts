import { Cause, Clock, Effect, Layer } from "effect"
import { isUuid } from "../../domain/Ids.ts"
import { listenerFailed, PubSub } from "../../services/bus/PubSub.ts"
import { type Published, type Subject, Subjects } from "../../services/bus/Subjects.ts"
import { holding } from "../../services/platform/Holding.ts"
import { busEvents } from "../../services/platform/MetricDefinitions.ts"
import { Metrics } from "../../services/platform/Metrics.ts"
import { Settings, type SettingsShape } from "../../services/platform/Settings.ts"
import { makeThrottledLog } from "../../services/platform/ThrottledLog.ts"
import { currentTraceparent, Tracing } from "../../services/platform/Tracing.ts"
import * as Nats from "./Nats.ts"
import { decodeEvents } from "./NatsFrames.ts"
import type { NatsFields, NatsPatience } from "./NatsLink.ts"
import { makeSeal, type NatsSeal } from "./NatsSeal.ts"
import { makeNatsSender } from "./NatsSender.ts"

type NatsSettings = NonNullable<SettingsShape["nats"]>

/** A subject is a word, or a word and a UUID, so that NATS cannot read wildcards or more tokens into it. */
const isWellFormed = (subject: Subject): boolean => {
  const dot = subject.indexOf(".")
  return dot < 0 ? word.test(subject) : word.test(subject.slice(0, dot)) && isUuid(subject.slice(dot + 1))
}
const word = /^[a-z]+$/

const illFormed = (subject: Subject) => new Error(`${JSON.stringify(subject)} is not a valid subject`)

/** The span of a publish, by OpenTelemetry's conventions for messaging. Its name leaves out the id in the subject. */
const publishSpan = (prefix: string, subject: Subject, events: ReadonlyArray<Published>) => () => ({
  name: `publish ${prefix}.${subject.split(".", 1)[0]}`,
  kind: "producer" as const,
  attributes: {
    "messaging.system.name": "nats",
    "messaging.operation.name": "publish",
    "messaging.operation.type": "send",
    "messaging.destination.name": `${prefix}.${subject}`,
    "messaging.batch.message_count": events.length
  }
})

/** Makes the function that reads the events of a payload, as far as they may be taken; none of one that is refused. */
const makeRead = Effect.fnUntraced(function* (seal: NatsSeal, acceptUnsigned: boolean) {
  const metrics = yield* Metrics
  const countRefused = metrics.counter(busEvents, { outcome: "refused" })
  const countLate = metrics.counter(busEvents, { outcome: "late" })
  const rarely = yield* makeThrottledLog
  const onMalformed = rarely((subject: Subject) =>
    Effect.logWarning("received a NATS message that is not an event of this service", { subject })
  )
  const onForged = rarely((subject: Subject) =>
    Effect.logWarning(
      "refused a NATS message that no node has signed: all nodes need the same jwt.secret, and nats.accept_unsigned while nodes of release 0.1.0 run",
      { subject }
    )
  )
  const onLate = rarely((subject: Subject) =>
    Effect.logWarning(
      "ignored events that came through NATS and are not of the last minute: the clocks of the nodes must agree, and nobody else may publish",
      { subject }
    )
  )
  const unsigned = acceptUnsigned ? "good" : "forged"

  return (subject: Subject, payload: Uint8Array, mac: string | undefined): ReadonlyArray<Published> => {
    const verdict = mac === undefined ? unsigned : seal.check(subject, payload, mac)
    if (verdict === "forged") {
      countRefused(1)
      onForged(subject)
      return []
    }
    const events = decodeEvents(payload)
    if (events === undefined) {
      onMalformed(subject)
      return []
    }
    if (verdict === "good") return events
    const durable = events.filter(({ seq }) => seq !== null)
    if (durable.length < events.length) {
      countLate(events.length - durable.length)
      onLate(subject)
    }
    return durable
  }
})

/**
 * The bus between nodes. Subscribers on this node get events directly, whatever the state of NATS; other nodes get them
 * through NATS, where each node has one subscription for each subject that it needs. Events that NATS cannot take are
 * dropped. Each message has a code that only nodes with the same `jwt.secret` can make; others are refused, except those
 * without a code while `nats.accept_unsigned` is set. Of a message that is not of the last minute only durable events are
 * taken: their seq says whether they are new, and all others could have been recorded. A node that knows that it is alone
 * sends nothing. When NATS can take events again, or another node appears, the last durable one of each subject is sent, so
 * that receivers detect the gap before it and fetch what they missed.
 */
const make = Effect.fnUntraced(function* ({ acceptUnsigned, prefix }: NatsSettings, jwt: SettingsShape["jwt"]) {
  if (acceptUnsigned) {
    yield* Effect.logWarning(
      "nats.accept_unsigned is true: whoever can publish to NATS can send events to this node; leave it out once no node of release 0.1.0 runs"
    )
  }
  const nats = yield* Nats.Nats
  const clock = yield* Clock.Clock
  const seal = makeSeal(jwt, () => clock.currentTimeMillisUnsafe())
  const read = yield* makeRead(seal, acceptUnsigned)
  const tracing = yield* Tracing
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const rarely = yield* makeThrottledLog
  const onIllFormed = rarely((subject: Subject) =>
    Effect.logError("did not publish to an invalid subject", Cause.die(illFormed(subject)))
  )
  const { seeAlone, send, sendMissed, skip } = yield* makeNatsSender(prefix, seal, clock)
  const subjects = new Subjects((defect) => fork(listenerFailed(defect)))
  const remote = new Map<Subject, () => void>()

  const join = (subject: Subject, onEvents: (events: ReadonlyArray<Published>) => void) => {
    const leave = subjects.add(subject, onEvents)
    if (!remote.has(subject)) {
      const onPayload = (payload: Uint8Array, { mac, traceparent }: NatsFields) => {
        const events = read(subject, payload, mac)
        if (events.length > 0) subjects.deliver(subject, events, traceparent)
      }
      remote.set(subject, nats.subscribe(`${prefix}.${subject}`, onPayload))
    }
    return () => {
      if (!leave()) return
      remote.get(subject)?.()
      remote.delete(subject)
    }
  }

  return PubSub.of({
    publish: (subject, events) =>
      Effect.withFiberSucceed((fiber) => {
        if (events.length === 0) return
        const traceparent = currentTraceparent(fiber)
        subjects.deliver(subject, events, traceparent)
        if (!isWellFormed(subject)) return onIllFormed(subject)
        if (skip(subject, events)) return
        const sent = tracing.step(traceparent, publishSpan(prefix, subject, events), (own) =>
          send(subject, events, own)
        )
        if (sent) sendMissed()
      }),
    subscribe: (subject, onEvents) =>
      holding(
        Effect.suspend(() =>
          isWellFormed(subject) ? Effect.sync(() => join(subject, onEvents)) : Effect.die(illFormed(subject))
        ),
        Effect.sync
      ).pipe(Effect.andThen(nats.confirm)),
    healthy: nats.healthy,
    reason: nats.reason,
    onReconnect: nats.onReconnect,
    // Nodes of release 0.1.0 do not wait until they have been seen.
    seeAlone: (alone, asked) => seeAlone(alone && !acceptUnsigned, asked)
  })
})

/** `PubSub` on NATS, and `Nats` for the health checks. */
export const layerNats = (nats: NatsSettings, jwt: SettingsShape["jwt"], patience?: NatsPatience) =>
  Layer.effect(PubSub, make(nats, jwt)).pipe(Layer.provideMerge(Nats.layer(nats, patience)))

/**
 * `PubSub` as the settings have it: on the NATS of the section `nats`, or within this process if there is no such
 * section.
 */
export const layer = Layer.unwrap(
  Effect.map(Settings, ({ jwt, nats }) => (nats === undefined ? PubSub.layer : layerNats(nats, jwt)))
)
