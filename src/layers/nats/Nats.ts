import { Context, Deferred, Effect, Layer, Random, type Scope } from "effect"
import { listenerFailed } from "../../services/bus/PubSub.ts"
import { makeListeners } from "../../services/platform/Listeners.ts"
import type { SettingsShape } from "../../services/platform/Settings.ts"
import { makeThrottledLog } from "../../services/platform/ThrottledLog.ts"
import { type NatsError, readNatsAddress } from "./NatsAddress.ts"
import { dial, type NatsFields, type NatsLink, type NatsPatience } from "./NatsLink.ts"
import { selfTest } from "./NatsSelfTest.ts"
import { makeNatsSessions, type NatsSessions, type OnPayload } from "./NatsSessions.ts"

/** The defaults, with which a dead link is detected within 15 seconds. */
const defaultPatience: NatsPatience = { dialMs: 2000, pingMs: 5000, unanswered: 2 }

/**
 * A connection to NATS that survives failures: a link that ends is replaced by a new one with the same subscriptions, as
 * often as needed. Outages are not logged here at more than debug level; `Readiness` reports them.
 */
export class Nats extends Context.Service<
  Nats,
  {
    /** Sends without waiting. False if the payload was dropped because NATS is down or does not keep up. */
    readonly publish: (subject: string, payload: Uint8Array, fields: NatsFields) => boolean
    /** The maximum size of a payload that the server accepts, in bytes. */
    readonly maxPayload: () => number
    /**
     * Calls `onPayload` with what others publish on the subject, also after reconnects. Returns the function that
     * unsubscribes.
     */
    readonly subscribe: (subject: string, onPayload: OnPayload) => () => void
    /** Returns when the server has processed everything sent before; after at most a second, and at once if NATS is down. */
    readonly confirm: Effect.Effect<void>
    /** Whether a link answers and has all subscriptions. This is checked each second. */
    readonly healthy: () => boolean
    /** Why it is not healthy, in one line without credentials. */
    readonly reason: () => string
    /** Calls `listener` each time the connection is healthy again, until the scope closes. */
    readonly onReconnect: (listener: () => void) => Effect.Effect<void, never, Scope.Scope>
  }
>()("chat/layers/Nats") {}

/**
 * Keeps one link open until the scope closes. Returns when the first link has passed the test. Fails if that shows that
 * the settings are wrong; a server that is down is tested when it is up.
 */
const keepConnected = Effect.fnUntraced(function* (
  { run, state }: NatsSessions,
  test: (link: NatsLink) => Effect.Effect<void, NatsError>,
  notifyReconnected: () => void
) {
  const rarely = yield* makeThrottledLog
  const onUnreachable = rarely((error: NatsError) => Effect.logDebug("NATS is still down", { reason: error.message }))
  const onFirst = (link: NatsLink) =>
    Effect.logInfo("connected to NATS", { server: link.server, version: link.version })
  const onBack = ({ server }: NatsLink) => Effect.logDebug("the connection to NATS is back", { server })
  const onLost = (why: { readonly server: string; readonly reason: string }) =>
    Effect.logDebug("the connection to NATS is lost", why)

  /** Whether the self-test may still find wrong settings, because no link was up when the service started. */
  let untested = false
  const onUp = Effect.fnUntraced(function* (link: NatsLink) {
    yield* untested ? onFirst(link) : onBack(link)
    notifyReconnected()
    if (!untested) return
    untested = false
    yield* Effect.forkScoped(
      Effect.catch(test(link), ({ message }) => Effect.logWarning("NATS does not carry events", { reason: message }))
    )
  })

  const reconnect = Random.nextBetween(50, 500).pipe(
    // A random pause, so that not all nodes reconnect at the same moment.
    Effect.flatMap((millis) => Effect.sleep(millis)),
    Effect.andThen(run(true, onUp)),
    Effect.matchEffect({ onSuccess: onLost, onFailure: (error) => Effect.sync(() => onUnreachable(error)) })
  )

  const up = yield* Deferred.make<NatsLink, NatsError>()
  yield* run(false, (link) => Effect.andThen(onFirst(link), Deferred.succeed(up, link))).pipe(
    Effect.tapError((error) => Deferred.fail(up, error)),
    Effect.matchEffect({ onSuccess: onLost, onFailure: () => Effect.void }),
    Effect.andThen(Effect.forever(reconnect)),
    Effect.forkScoped
  )
  yield* Deferred.await(up).pipe(
    Effect.flatMap(test),
    Effect.catchIf(
      ({ temporary }) => temporary,
      ({ message }) =>
        Effect.sync(() => {
          untested = state.link === undefined
          state.reason = message
        })
    )
  )
})

const make = Effect.fnUntraced(function* (
  settings: NonNullable<SettingsShape["nats"]>,
  patience: NatsPatience = defaultPatience
) {
  const address = yield* readNatsAddress(settings)
  const rarely = yield* makeThrottledLog
  const onError = rarely((error: Error) => Effect.logWarning("NATS reports an error", { reason: error.message }))
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const reconnected = makeListeners((defect) => fork(listenerFailed(defect)))
  const sessions = makeNatsSessions({
    dial: (keepTrying) => dial(address, patience, keepTrying, onError),
    answerMs: patience.dialMs,
    onError,
    onAnswer: reconnected.notify
  })
  const { state, subscribe } = sessions
  const test = (link: NatsLink) =>
    selfTest(link, {
      dial: dial(address, patience, false, onError),
      subscribe,
      onError,
      patienceMs: patience.dialMs,
      prefix: settings.prefix,
      servers: address.servers
    })
  yield* keepConnected(sessions, test, reconnected.notify)

  return Nats.of({
    publish: (subject, payload, fields) => state.link?.publish(subject, payload, fields) ?? false,
    maxPayload: () => state.link?.maxPayload ?? Number.POSITIVE_INFINITY,
    subscribe,
    confirm: Effect.suspend(() =>
      // Subscriptions that a lost link has not received are made on the next one.
      state.link === undefined || !state.healthy
        ? Effect.void
        : state.link.confirmed.pipe(Effect.timeout("1 second"), Effect.ignore)
    ),
    healthy: () => state.healthy,
    reason: () => state.reason,
    onReconnect: reconnected.add
  })
})

/**
 * Connects and sends a test event through NATS. Fails with a `NatsError` if the settings are wrong. If NATS cannot be
 * reached, it is down until it can.
 */
export const layer = (settings: NonNullable<SettingsShape["nats"]>, patience?: NatsPatience) =>
  Layer.effect(Nats, make(settings, patience))
