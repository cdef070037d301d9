import { connect, errors, headers, type NatsConnection, type Subscription } from "@nats-io/transport-node"
import { Effect } from "effect"
import { type NatsAddress, NatsError } from "./NatsAddress.ts"

/** How soon a link that is dead is seen: after `pingMs` × (`unanswered` + 1) at most. */
export interface NatsPatience {
  /** For a server to answer when we connect, in milliseconds. */
  readonly dialMs: number
  readonly pingMs: number
  readonly unanswered: number
}

/** Bytes on their way that the server has not confirmed; while there are more, events are dropped. */
const maxUnconfirmed = 8 * 1024 * 1024
const confirmEvery = 64 * 1024

/**
 * One connection to NATS from its beginning to its end: it never reconnects. The client's own way to reconnect first
 * waits until a dead link has taken all that was written to it, which may take minutes, and keeps what is published
 * meanwhile without bound.
 */
export class NatsLink {
  /** Why the link is dead; resolves once. */
  readonly ended: Promise<string>
  readonly server: string
  private readonly connection: NatsConnection
  private unconfirmed = 0
  private sinceConfirm = 0
  private confirmation: Promise<void> | undefined
  private dead = false

  constructor(connection: NatsConnection, onError: (error: Error) => void) {
    this.connection = connection
    this.server = connection.getServer()
    const closed = connection
      .closed()
      .then((error) => (error instanceof Error ? error.message : "closed by the server"))
      // What the client says about it, it says at the same time.
      .then((reason) => new Promise<string>((resolve) => setImmediate(resolve, reason)))
    this.ended = Promise.race([this.watch(closed, onError), closed]).then((reason) => {
      this.dead = true
      return reason
    })
  }

  private async watch(closed: Promise<string>, onError: (error: Error) => void) {
    for await (const status of this.connection.status()) {
      if (status.type === "staleConnection") return "no answer to pings"
      if (status.type === "error") onError(status.error)
    }
    return closed
  }

  /** The longest payload that the server takes, in bytes. */
  get maxPayload(): number {
    return this.connection.info?.max_payload ?? 1024 * 1024
  }

  get version(): string {
    return this.connection.info?.version ?? "unknown"
  }

  /** Sends without waiting; false when it was dropped, since the link is dead or its server far behind. */
  publish(subject: string, payload: Uint8Array, traceparent: string | undefined): boolean {
    if (this.dead || this.connection.isClosed() || this.unconfirmed > maxUnconfirmed) return false
    if (traceparent !== undefined && this.connection.info?.headers === true) {
      const carrier = headers()
      carrier.set("traceparent", traceparent)
      this.connection.publish(subject, payload, { headers: carrier })
    } else {
      this.connection.publish(subject, payload)
    }
    this.unconfirmed += payload.length
    this.sinceConfirm += payload.length
    if (this.sinceConfirm >= confirmEvery) {
      const bytes = this.sinceConfirm
      this.sinceConfirm = 0
      const confirmed = () => {
        this.unconfirmed -= bytes
      }
      // It rejects when the link is dead, which `ended` tells.
      this.connection.flush().then(confirmed, confirmed)
    }
    return true
  }

  subscribe(
    subject: string,
    onPayload: (payload: Uint8Array, traceparent: string | undefined) => void,
    onError: (error: Error) => void
  ): Subscription | undefined {
    if (this.connection.isClosed()) return undefined
    return this.connection.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) onPayload(message.data, message.headers?.get("traceparent"))
        else onError(error)
      }
    })
  }

  /** Resolves when the server has taken all that came before; those who ask together share one round trip. */
  confirm(): Promise<void> {
    this.confirmation ??= new Promise((resolve) => {
      setImmediate(() => {
        this.confirmation = undefined
        resolve(this.connection.flush())
      })
    })
    return this.confirmation
  }

  /** Ends the link; a living one has taken what was published before, unless that takes it longer than `graceMs`. */
  close(graceMs: number): Effect.Effect<void> {
    return Effect.tryPromise(() => this.confirm()).pipe(
      Effect.timeout(graceMs),
      Effect.when(Effect.sync(() => !this.dead && !this.connection.isClosed())),
      // A server that does not answer any more is left as it is.
      Effect.ignore,
      Effect.andThen(Effect.promise(() => this.connection.close()))
    )
  }
}

const explain = ({ servers }: NatsAddress, cause: unknown) => {
  const reason = cause instanceof Error && cause.message !== "" ? cause.message : "connection closed"
  const at = `NATS at ${servers.join(", ")}`
  if (cause instanceof errors.AuthorizationError || cause instanceof errors.UserAuthenticationExpiredError) {
    return `nats.address: ${at} does not let us in (${reason}); correct the user and password, or the token, in it`
  }
  return `nats.address: no ${at} (${reason}); start it, correct the key, or leave out the section "nats" to run a single node`
}

/** Connects: tries each server once, or (`forEver`) in turn until one answers or the effect is interrupted. */
export const dial = (
  address: NatsAddress,
  patience: NatsPatience,
  forEver: boolean,
  onError: (error: Error) => void
): Effect.Effect<NatsLink, NatsError> =>
  Effect.tryPromise({
    try: async (signal) => {
      const connection = await connect({
        ...address.credentials,
        ...(address.tls && { tls: {} }),
        servers: [...address.servers],
        name: "chat-service",
        timeout: patience.dialMs,
        pingInterval: patience.pingMs,
        maxPingOut: patience.unanswered,
        // Subscribers of this node have had our events already.
        noEcho: true,
        reconnect: false,
        waitOnFirstConnect: forEver,
        maxReconnectAttempts: -1,
        reconnectTimeWait: 250,
        reconnectJitter: 500,
        reconnectJitterTLS: 500,
        ignoreAuthErrorAbort: true,
        ignoreClusterUpdates: true,
        noAsyncTraces: true,
        reconnectToServer: () => {
          // The only way to stop the client while it tries for ever.
          signal.throwIfAborted()
          return null
        }
      })
      if (signal.aborted) await connection.close()
      return new NatsLink(connection, onError)
    },
    catch: (cause) => new NatsError({ message: explain(address, cause) })
  })
