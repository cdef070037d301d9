import { Effect } from "effect"
import type { Published, Subject } from "../../services/bus/Subjects.ts"
import { busEvents } from "../../services/platform/MetricDefinitions.ts"
import { Metrics } from "../../services/platform/Metrics.ts"
import { makeThrottledLog } from "../../services/platform/ThrottledLog.ts"
import { Nats } from "./Nats.ts"
import { encodeEvents } from "./NatsFrames.ts"
import type { NatsSeal } from "./NatsSeal.ts"

/** The last durable event that NATS did not receive is kept for at most this many subjects. */
const maxMissed = 4096

/** The limit of the server for a payload includes the headers, for which this many bytes are enough. */
const headerBytes = 160

/**
 * Makes `send`, which hands events to NATS and returns false if NATS did not take them, and `sendMissed`, which sends the
 * last durable event of each subject that NATS did not take, until NATS refuses one. That also happens on each reconnect.
 */
export const makeNatsSender = Effect.fnUntraced(function* (prefix: string, seal: NatsSeal) {
  const nats = yield* Nats
  const rarely = yield* makeThrottledLog
  const onDropped = rarely((subject: Subject) => Effect.logWarning("events for other nodes are dropped", { subject }))
  const onTooBig = rarely(({ event }: Published, bytes: number) =>
    Effect.logWarning("an event is too big for NATS", { event, bytes, maxPayload: nats.maxPayload() })
  )
  const metrics = yield* Metrics
  const countSent = metrics.counter(busEvents, { outcome: "sent" })
  const countDropped = metrics.counter(busEvents, { outcome: "dropped" })
  const missed = new Map<Subject, Published>()

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
      if (!send(subject, [event], undefined)) return
      missed.delete(subject)
    }
  }
  yield* nats.onReconnect(sendMissed)

  return { send, sendMissed }
})
