import { randomUUID } from "node:crypto"
import { Deferred, Effect, Exit } from "effect"
import { NatsError } from "./NatsAddress.ts"
import type { NatsLink } from "./NatsLink.ts"
import { closeGraceMs, type OnPayload } from "./NatsSessions.ts"

/** What the self-test needs of the connection that it tests. */
interface NatsSelfTest {
  /** Opens the second link. */
  readonly dial: Effect.Effect<NatsLink, NatsError>
  /** Subscribes on the first link, and returns the function that unsubscribes. */
  readonly subscribe: (subject: string, onPayload: OnPayload) => () => void
  /** Called with what the server reports about the second link. */
  readonly onError: (error: Error) => void
  /** How long the event may take, in milliseconds. */
  readonly patienceMs: number
  readonly prefix: string
  /** The servers as the settings name them, for the message of the failure. */
  readonly servers: ReadonlyArray<string>
}

/**
 * Sends one event from a second link to `link` and back. This shows that the user may publish and subscribe, and that
 * events arrive. Fails if it does not come back in time, which is not `temporary`, or if a link is lost.
 */
export const selfTest = Effect.fnUntraced(function* (link: NatsLink, options: NatsSelfTest) {
  const { dial, onError, patienceMs, prefix, servers, subscribe } = options
  const other = yield* Effect.acquireRelease(dial, (gone) => gone.close(closeGraceMs))
  const subject = `${prefix}.selftest.${randomUUID()}`
  const back = yield* Deferred.make<void>()
  yield* Effect.acquireRelease(
    Effect.sync(() => subscribe(subject, (payload) => link.publish(subject, payload, {}))),
    (unsubscribe) => Effect.sync(unsubscribe)
  )
  other.subscribe(subject, () => Deferred.doneUnsafe(back, Exit.void), onError)
  yield* Effect.all([link.confirmed, other.confirmed], { concurrency: 2, discard: true })
  const lost = new NatsError({
    temporary: false,
    message: `nats.address: no test event came through NATS at ${servers.join(", ")}; let its user publish and subscribe to ${prefix}.>`
  })
  // Repeated, because in a cluster a server may not know yet what clients of another server have subscribed to.
  yield* Effect.sync(() => other.publish(subject, Buffer.from("ping"), {})).pipe(
    Effect.andThen(Effect.sleep("50 millis")),
    Effect.forever,
    Effect.raceFirst(Deferred.await(back)),
    Effect.timeoutOrElse({ duration: patienceMs, orElse: () => Effect.fail(lost) })
  )
}, Effect.scoped)
