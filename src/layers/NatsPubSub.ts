import { Cause, Effect, Layer } from "effect"
import { busEvents } from "../services/MetricDefinitions.ts"
import { Metrics } from "../services/Metrics.ts"
import { listenerFailed, type Published, PubSub, type Subject } from "../services/PubSub.ts"
import { makeRareLog } from "../services/RareLog.ts"
import { Settings, type SettingsShape } from "../services/Settings.ts"
import { Subjects } from "../services/Subjects.ts"
import { currentTraceparent, Tracing } from "../services/Tracing.ts"
import * as Nats from "./Nats.ts"
import { decodeEvents, encodeEvents } from "./NatsFrames.ts"
import type { NatsPatience } from "./NatsLink.ts"

/** Of so many subjects the last durable event is kept that NATS did not get. */
const maxMissed = 4096

/** A word, and most have a UUID: nothing that NATS would take for a wildcard or for more tokens. */
const wellFormed = /^[a-z]+(\.[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})?$/

const illFormed = (subject: Subject) => new Error(`${JSON.stringify(subject)} is no subject`)

/** By the conventions for messaging: the subject without the id is the same for many. */
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

/**
 * The bus between nodes. Subscribers of this node are handed events at once, whatever NATS does; other nodes get them
 * through NATS, with one subscription per subject while anyone here needs it. Events that NATS could not take are
 * dropped; when it can again, the last durable one of each subject is sent, and whoever listens sees the hole before it.
 */
const make = Effect.fnUntraced(function* (prefix: string) {
  const nats = yield* Nats.Nats
  const tracing = yield* Tracing
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const rarely = yield* makeRareLog
  const onMalformed = rarely((subject: Subject) => Effect.logWarning("a NATS message is not one of ours", { subject }))
  const onDropped = rarely((subject: Subject) => Effect.logWarning("events for other nodes are dropped", { subject }))
  const onIllFormed = rarely((subject: Subject) => Effect.logError("not published", Cause.die(illFormed(subject))))
  const onTooBig = rarely(({ event }: Published, bytes: number) =>
    Effect.logWarning("an event is too big for NATS", { event, bytes, maxPayload: nats.maxPayload() })
  )
  const metrics = yield* Metrics
  const countSent = metrics.counter(busEvents, { outcome: "sent" })
  const countDropped = metrics.counter(busEvents, { outcome: "dropped" })
  const subjects = new Subjects((defect) => fork(listenerFailed(defect)))
  const remote = new Map<Subject, () => void>()
  const missed = new Map<Subject, Published>()

  /** False when NATS did not take the events; one that is too big for it is left to the repair. */
  const send = (subject: Subject, events: ReadonlyArray<Published>, traceparent: string | undefined): boolean => {
    const payload = encodeEvents(events)
    // The headers count too.
    if (payload.length + 128 <= nats.maxPayload()) return nats.publish(`${prefix}.${subject}`, payload, traceparent)
    const [first, ...rest] = events
    if (first === undefined) return true
    if (rest.length > 0) {
      const middle = events.length >> 1
      const sent = send(subject, events.slice(0, middle), traceparent)
      return send(subject, events.slice(middle), traceparent) && sent
    }
    onTooBig(first, payload.length)
    return true
  }

  const sendOrMiss = (subject: Subject, events: ReadonlyArray<Published>, traceparent: string | undefined) => {
    if (send(subject, events, traceparent)) {
      countSent(events.length)
      return true
    }
    countDropped(events.length)
    if (nats.healthy()) onDropped(subject)
    const last = events.findLast(({ seq }) => seq !== null)
    if (last === undefined) return false
    missed.delete(subject)
    missed.set(subject, last)
    const [oldest] = missed.keys()
    if (missed.size > maxMissed && oldest !== undefined) missed.delete(oldest)
    return false
  }

  const sendMissed = () => {
    for (const [subject, event] of missed) {
      if (!sendOrMiss(subject, [event], undefined)) return
      missed.delete(subject)
    }
  }
  yield* nats.onReconnect(sendMissed)

  const join = (subject: Subject, onEvents: (events: ReadonlyArray<Published>) => void) => {
    const leave = subjects.add(subject, onEvents)
    if (!remote.has(subject)) {
      const onPayload = (payload: Uint8Array, traceparent: string | undefined) => {
        const events = decodeEvents(payload)
        if (events === undefined) onMalformed(subject)
        else subjects.deliver(subject, events, traceparent)
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
        if (!wellFormed.test(subject)) return onIllFormed(subject)
        const sent = tracing.step(traceparent, publishSpan(prefix, subject, events), (own) =>
          sendOrMiss(subject, events, own)
        )
        if (sent && missed.size > 0) sendMissed()
      }),
    subscribe: (subject, onEvents) =>
      Effect.acquireRelease(
        Effect.suspend(() =>
          wellFormed.test(subject) ? Effect.sync(() => join(subject, onEvents)) : Effect.die(illFormed(subject))
        ),
        (leave) => Effect.sync(leave)
      ).pipe(Effect.andThen(nats.confirm)),
    healthy: nats.healthy,
    onReconnect: nats.onReconnect
  })
})

/** `PubSub` on NATS, and `Nats` for whoever watches it. */
export const layerNats = (settings: NonNullable<SettingsShape["nats"]>, patience?: NatsPatience) =>
  Layer.effect(PubSub, make(settings.prefix)).pipe(Layer.provideMerge(Nats.layer(settings, patience)))

/** `PubSub` for the settings: on the NATS of the section `nats`, or else in this process. */
export const layer = Layer.unwrap(
  Effect.map(Settings, ({ nats }) => (nats === undefined ? PubSub.layer : layerNats(nats)))
)
