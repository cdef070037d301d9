import { randomUUID } from "node:crypto"
import type { Subscription } from "@nats-io/transport-node"
import { Context, Deferred, Effect, Exit, Layer, Random, type Scope } from "effect"
import { every } from "../services/Background.ts"
import { listenerFailed } from "../services/PubSub.ts"
import { makeRareLog } from "../services/RareLog.ts"
import type { SettingsShape } from "../services/Settings.ts"
import { NatsError, parseNatsAddress } from "./NatsAddress.ts"
import { dial, type NatsLink, type NatsPatience } from "./NatsLink.ts"

/** A dead link is seen within 15 seconds. */
const usualPatience: NatsPatience = { dialMs: 2000, pingMs: 5000, unanswered: 2 }

/** How long the end of the service waits for the server to take what was published last. */
const closeGraceMs = 800

interface Interest {
  readonly subject: string
  readonly onPayload: (payload: Uint8Array, traceparent: string | undefined) => void
  subscription: Subscription | undefined
}

/**
 * NATS, whatever happens to it: a link that ends is replaced by the next one, for ever, with all subscriptions. That it
 * is away is told by who watches it.
 */
export class Nats extends Context.Service<
  Nats,
  {
    /** Sends without waiting; false when it was dropped, since NATS is away or does not keep up. */
    readonly publish: (subject: string, payload: Uint8Array, traceparent: string | undefined) => boolean
    /** The longest payload that the server takes, in bytes. */
    readonly maxPayload: () => number
    /**
     * Hands on what others publish on the subject, from now on and after each reconnect; gives back what ends it.
     * `onPayload` must be quick and must not throw.
     */
    readonly subscribe: (
      subject: string,
      onPayload: (payload: Uint8Array, traceparent: string | undefined) => void
    ) => () => void
    /** Returns when the server has taken all that came before, at once while NATS is away, after a second at most. */
    readonly confirm: Effect.Effect<void>
    /** Whether there is a link that answers, with all subscriptions on it; looked at each second. */
    readonly healthy: () => boolean
    /** Calls `listener` each time there is such a link again, until the scope closes. */
    readonly onReconnect: (listener: () => void) => Effect.Effect<void, never, Scope.Scope>
  }
>()("chat/layers/Nats") {}

const make = Effect.fnUntraced(function* (
  settings: NonNullable<SettingsShape["nats"]>,
  patience: NatsPatience = usualPatience
) {
  const address = yield* parseNatsAddress(settings.address)
  const rarely = yield* makeRareLog
  const onError = rarely((error: Error) => Effect.logWarning("NATS reports an error", { reason: error.message }))
  const onUnreachable = rarely((error: NatsError) => Effect.logDebug("NATS is still away", { reason: error.message }))
  const interests = new Set<Interest>()
  const listeners = new Set<() => void>()
  let link: NatsLink | undefined
  let healthy = false

  const confirmed = (of: NatsLink) =>
    Effect.tryPromise({
      try: () => of.confirm(),
      catch: () => new NatsError({ message: `the connection to ${of.server} is lost` })
    })

  const noAnswer = (of: NatsLink) => () =>
    Effect.fail(new NatsError({ message: `nats.address: NATS at ${of.server} does not answer; restart it` }))

  const subscribe = (subject: string, onPayload: (payload: Uint8Array, traceparent: string | undefined) => void) => {
    const interest = { subject, onPayload, subscription: link?.subscribe(subject, onPayload, onError) }
    interests.add(interest)
    return () => {
      interests.delete(interest)
      interest.subscription?.unsubscribe()
    }
  }

  const tellBack = Effect.suspend(() =>
    Effect.forEach(
      [...listeners],
      (listener) => Effect.sync(listener).pipe(Effect.catchDefect((defect) => listenerFailed(defect))),
      { discard: true }
    )
  )

  /** A server that does not answer is no bus, long before its link counts as dead. */
  const look = Effect.fnUntraced(function* (of: NatsLink) {
    const answers = yield* confirmed(of).pipe(
      Effect.as(true),
      Effect.catch(() => Effect.succeed(false)),
      Effect.timeoutOrElse({ duration: "1 second", orElse: () => Effect.succeed(false) })
    )
    if (answers === healthy) return
    healthy = answers
    if (answers) yield* tellBack
  })

  /** One link, until it ends: then why. */
  const session = Effect.fnUntraced(function* (forEver: boolean, onUp: (of: NatsLink) => Effect.Effect<unknown>) {
    const opened = yield* Effect.acquireRelease(
      dial(address, patience, forEver, onError),
      (gone) => {
        link = undefined
        healthy = false
        return gone.close(closeGraceMs)
      },
      { interruptible: true }
    )
    link = opened
    for (const interest of interests) {
      interest.subscription = opened.subscribe(interest.subject, interest.onPayload, onError)
    }
    yield* Effect.timeoutOrElse(confirmed(opened), { duration: patience.dialMs, orElse: noAnswer(opened) })
    healthy = true
    yield* onUp(opened)
    yield* every("1 second", "the look at NATS", look(opened))
    return { server: opened.server, reason: yield* Effect.promise(() => opened.ended) }
  }, Effect.scoped)

  const onBack = ({ server }: NatsLink) =>
    Effect.logDebug("the connection to NATS is back", { server }).pipe(Effect.andThen(tellBack))

  const onLost = (why: { readonly server: string; readonly reason: string }) =>
    Effect.logDebug("the connection to NATS is lost", why)

  const reconnect = Random.nextBetween(50, 500).pipe(
    // Not all nodes at the same moment.
    Effect.flatMap((millis) => Effect.sleep(millis)),
    Effect.andThen(session(true, onBack)),
    Effect.matchEffect({ onSuccess: onLost, onFailure: (error) => Effect.sync(() => onUnreachable(error)) })
  )

  /** One event to a second link and back: shows that we may publish and subscribe, and that events arrive. */
  const selfTest = Effect.fnUntraced(function* (of: NatsLink) {
    const other = yield* Effect.acquireRelease(dial(address, patience, false, onError), (gone) =>
      gone.close(closeGraceMs)
    )
    const subject = `${settings.prefix}.selftest.${randomUUID()}`
    const back = yield* Deferred.make<void>()
    yield* Effect.acquireRelease(
      Effect.sync(() => subscribe(subject, (payload) => of.publish(subject, payload, undefined))),
      (unsubscribe) => Effect.sync(unsubscribe)
    )
    other.subscribe(subject, () => Deferred.doneUnsafe(back, Exit.void), onError)
    yield* Effect.all([confirmed(of), confirmed(other)], { concurrency: 2, discard: true })
    // Again and again: in a cluster, a server may not know yet what was subscribed to on another one.
    yield* Effect.sync(() => other.publish(subject, Buffer.from("ping"), undefined)).pipe(
      Effect.andThen(Effect.sleep("50 millis")),
      Effect.forever,
      Effect.raceFirst(Deferred.await(back)),
      Effect.timeoutOrElse({
        duration: patience.dialMs,
        orElse: () =>
          Effect.fail(
            new NatsError({
              message: `nats.address: no test event came through NATS at ${address.servers.join(", ")}; let its user publish and subscribe to ${settings.prefix}.>`
            })
          )
      })
    )
  }, Effect.scoped)

  const up = yield* Deferred.make<NatsLink, NatsError>()
  const onFirst = (of: NatsLink) =>
    Effect.logInfo("connected to NATS", { server: of.server, version: of.version }).pipe(
      Effect.andThen(Deferred.succeed(up, of))
    )
  yield* session(false, onFirst).pipe(
    Effect.tapError((error) => Deferred.fail(up, error)),
    Effect.flatMap(onLost),
    Effect.andThen(Effect.forever(reconnect)),
    Effect.forkScoped
  )
  yield* selfTest(yield* Deferred.await(up))

  return Nats.of({
    publish: (subject, payload, traceparent) => link?.publish(subject, payload, traceparent) ?? false,
    maxPayload: () => link?.maxPayload ?? Number.POSITIVE_INFINITY,
    subscribe,
    confirm: Effect.suspend(() =>
      // Subscriptions that a lost link has not taken go to the next one.
      link === undefined || !healthy ? Effect.void : confirmed(link).pipe(Effect.timeout("1 second"), Effect.ignore)
    ),
    healthy: () => healthy,
    onReconnect: (listener) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const own = () => listener()
          listeners.add(own)
          return own
        }),
        (own) => Effect.sync(() => listeners.delete(own))
      ).pipe(Effect.asVoid)
  })
})

/** Connects, or fails with a `NatsError`, and proves with one event that NATS carries our events. */
export const layer = (settings: NonNullable<SettingsShape["nats"]>, patience?: NatsPatience) =>
  Layer.effect(Nats, make(settings, patience))
