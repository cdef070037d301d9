import { type Clock, Effect } from "effect"
import { lookMillis } from "../../services/bus/PubSub.ts"
import type { Published, Subject } from "../../services/bus/Subjects.ts"
import { busEvents } from "../../services/platform/MetricDefinitions.ts"
import { Metrics } from "../../services/platform/Metrics.ts"
import { monotonicMillis } from "../../services/platform/Monotonic.ts"
import { makeThrottledLog } from "../../services/platform/ThrottledLog.ts"
import { Nats } from "./Nats.ts"
import { encodeEvents } from "./NatsFrames.ts"
import type { NatsSeal } from "./NatsSeal.ts"

/** The last durable event that NATS did not receive is kept for at most this many subjects. */
const maxMissed = 4096

/** The limit of the server for a payload includes the headers, for which this many bytes are enough. */
const headerBytes = 160

/**
 * Keeps the last durable event of each subject that other nodes did not get, and when that was on the monotonic clock. An
 * event takes the place of the one before it: a map in which each event is deleted and set again leaves one table of entries
 * after the other, which V8 keeps until it collects the whole heap.
 */
const makeMissed = () => {
  const missed = new Map<Subject, { readonly event: Published; readonly at: number }>()
  return {
    add: (subject: Subject, events: ReadonlyArray<Published>, at: number) => {
      const event = events.findLast(({ seq }) => seq !== null)
      if (event === undefined) return
      missed.set(subject, { event, at })
      if (missed.size <= maxMissed) return
      const [first] = missed.keys()
      if (first !== undefined) missed.delete(first)
    },
    forgetBefore: (time: number) => {
      for (const [subject, { at }] of missed) if (at < time) missed.delete(subject)
    },
    /** Hands over each event, until `take` refuses one. */
    handOver: (take: (subject: Subject, event: Published) => boolean) => {
      for (const [subject, { event }] of missed) {
        if (!take(subject, event)) return
        missed.delete(subject)
      }
    }
  }
}

/**
 * Makes `send`, which hands events to NATS and returns false if NATS did not take them; `skip`, which returns true if nobody
 * else is there to take them; and `sendMissed`, which sends the last durable event of each subject for which either was so,
 * until NATS refuses one. That also happens on each reconnect, and when `seeAlone` says that another node is there.
 */
export const makeNatsSender = Effect.fnUntraced(function* (prefix: string, seal: NatsSeal, clock: Clock.Clock) {
  const nats = yield* Nats
  const rarely = yield* makeThrottledLog
  const onDropped = rarely((subject: Subject) => Effect.logWarning("events for other nodes are dropped", { subject }))
  const onTooBig = rarely(({ event }: Published, bytes: number) =>
    Effect.logWarning("an event is too big for NATS", { event, bytes, maxPayload: nats.maxPayload() })
  )
  const metrics = yield* Metrics
  const countSent = metrics.counter(busEvents, { outcome: "sent" })
  const countDropped = metrics.counter(busEvents, { outcome: "dropped" })
  const countSkipped = metrics.counter(busEvents, { outcome: "skipped" })
  const missed = makeMissed()
  let alone = false
  let aloneUntil = 0

  /** False if NATS did not take the events. An event that is too big for NATS is skipped; receivers repair the gap. */
  const publish = (subject: Subject, events: ReadonlyArray<Published>, traceparent: string | undefined): boolean => {
    const payload = encodeEvents(events)
    if (payload.length + headerBytes <= nats.maxPayload()) {
      return nats.publish(`${prefix}.${subject}`, payload, { mac: seal.sign(subject, payload), traceparent })
    }
    const [first, ...rest] = events
    if (first === undefined) return true
    if (rest.length > 0) {
      const middle = events.length >> 1
      const sent = publish(subject, events.slice(0, middle), traceparent)
      return publish(subject, events.slice(middle), traceparent) && sent
    }
    onTooBig(first, payload.length)
    return true
  }

  const send = (subject: Subject, events: ReadonlyArray<Published>, traceparent: string | undefined): boolean => {
    if (publish(subject, events, traceparent)) {
      countSent(events.length)
      return true
    }
    countDropped(events.length)
    if (nats.healthy()) onDropped(subject)
    missed.add(subject, events, monotonicMillis(clock))
    return false
  }

  const skip = (subject: Subject, events: ReadonlyArray<Published>): boolean => {
    if (!alone) return false
    const now = monotonicMillis(clock)
    if (now >= aloneUntil) return false
    countSkipped(events.length)
    missed.add(subject, events, now)
    return true
  }

  const sendMissed = () => missed.handOver((subject, event) => send(subject, [event], undefined))
  yield* nats.onReconnect(() => {
    if (!alone) sendMissed()
  })

  const seeAlone = (isAlone: boolean, asked: number) => {
    const wasAlone = alone
    alone = isAlone
    aloneUntil = asked + lookMillis
    if (wasAlone && !alone) sendMissed()
    // A node that announces itself after this look began will read from the log what was committed before.
    if (alone) missed.forgetBefore(asked)
  }

  return { send, skip, sendMissed, seeAlone }
})
