import {
  connect,
  deferred,
  errors,
  headers,
  type MsgHdrs,
  type NatsConnection,
  type Subscription
} from "@nats-io/transport-node"
import { Effect } from "effect"
import { type NatsAddress, NatsError } from "./NatsAddress.ts"

/** A dead link is detected after at most `pingMs` × (`unanswered` + 1) milliseconds. */
export interface NatsPatience {
  /** How long a server may take to answer when we connect, in milliseconds. */
  readonly dialMs: number
  readonly pingMs: number
  readonly unanswered: number
}

/** What a message carries beside its payload: the code that proves its origin, and the trace that it belongs to. */
export interface NatsFields {
  readonly mac?: string | undefined
  readonly traceparent?: string | undefined
}

interface Waiting {
  readonly subject: string
  readonly payload: Uint8Array
  readonly fields: NatsFields
}

const macField = "Chat-Mac"

// A header that is not there is the empty text.
const fieldsOf = (given: MsgHdrs | undefined): NatsFields => ({
  mac: given?.get(macField) || undefined,
  traceparent: given?.get("traceparent") || undefined
})

/** Events are dropped while the server has not confirmed more than this many bytes. */
const maxUnconfirmed = 8 * 1024 * 1024
/** After this many bytes the server is asked for a confirmation. */
const confirmEvery = 64 * 1024

const nobodyWaits = deferred<void>()
/**
 * What a subscription has for those who iterate over it. Nobody does, and what each has of its own would be a tenth of what
 * the socket of a user costs.
 */
const withoutIterator = { signal: nobodyWaits, iterClosed: nobodyWaits }

/**
 * One connection to NATS, from its start to its end; it never reconnects. The reconnecting of the NATS client library is
 * not used: it first waits until a dead link has flushed everything written to it, which may take minutes, and meanwhile
 * buffers without bound.
 */
export class NatsLink {
  /** Resolves with the reason when the link has ended. */
  readonly ended: Promise<string>
  readonly server: string
  private readonly connection: NatsConnection
  private unconfirmed = 0
  private sinceConfirm = 0
  private confirmation: Promise<void> | undefined
  private dead = false
  /** What waits until the end of this turn of the event loop, since each write costs as much as all else of a publish. */
  private waiting: Array<Waiting> = []

  constructor(connection: NatsConnection, onError: (error: Error) => void) {
    this.connection = connection
    this.server = connection.getServer()
    const closed = connection
      .closed()
      .then((error) => (error instanceof Error ? error.message : "the server ended, or closed the connection"))
      // The status that tells the reason arrives in the same turn of the event loop, so this waits for the next one.
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

  /** The maximum size of a payload that the server accepts, in bytes. */
  get maxPayload(): number {
    return this.connection.info?.max_payload ?? 1024 * 1024
  }

  /** The version of the server. */
  get version(): string {
    return this.connection.info?.version ?? "unknown"
  }

  private get isClosed(): boolean {
    return this.dead || this.connection.isClosed()
  }

  /** Sends without waiting. False if the payload was dropped because the link is dead or the server is far behind. */
  publish(subject: string, payload: Uint8Array, fields: NatsFields): boolean {
    if (this.isClosed || this.unconfirmed > maxUnconfirmed) return false
    if (this.waiting.length === 0) setImmediate(() => this.writeWaiting())
    this.waiting.push({ subject, payload, fields })
    this.unconfirmed += payload.length
    this.sinceConfirm += payload.length
    return true
  }

  /** The client library writes at once what it is given in one turn. */
  private writeWaiting() {
    const waiting = this.waiting
    this.waiting = []
    if (this.isClosed) return
    for (const { fields, payload, subject } of waiting) {
      const carrier = headers()
      if (fields.mac !== undefined) carrier.append(macField, fields.mac)
      if (fields.traceparent !== undefined) carrier.append("traceparent", fields.traceparent)
      this.connection.publish(subject, payload, { headers: carrier })
    }
    if (this.sinceConfirm < confirmEvery) return
    const bytes = this.sinceConfirm
    this.sinceConfirm = 0
    const confirmed = () => {
      this.unconfirmed -= bytes
    }
    // It rejects when the link is dead, which `ended` reports.
    this.connection.flush().then(confirmed, confirmed)
  }

  /** Subscribes on this link, or returns undefined if it is closed. Errors of the subscription go to `onError`. */
  subscribe(
    subject: string,
    onPayload: (payload: Uint8Array, fields: NatsFields) => void,
    onError: (error: Error) => void
  ): Subscription | undefined {
    if (this.connection.isClosed()) return undefined
    const subscription = this.connection.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) onPayload(message.data, fieldsOf(message.headers))
        else onError(error)
      }
    })
    return Object.assign(subscription, withoutIterator)
  }

  /** Calls in one turn share one round trip. */
  private confirm(): Promise<void> {
    this.confirmation ??= new Promise((resolve) => {
      setImmediate(() => {
        this.confirmation = undefined
        this.writeWaiting()
        resolve(this.connection.flush())
      })
    })
    return this.confirmation
  }

  /** Returns when the server has processed everything sent before. Fails when the link is lost meanwhile. */
  readonly confirmed: Effect.Effect<void, NatsError> = Effect.tryPromise({
    try: () => this.confirm(),
    catch: () => new NatsError({ message: `the connection to ${this.server} is lost`, temporary: true })
  })

  /** Closes the link, after what was published before has been flushed, for which it waits at most `graceMs`. */
  close(graceMs: number): Effect.Effect<void> {
    return this.confirmed.pipe(
      Effect.timeout(graceMs),
      Effect.when(Effect.sync(() => !this.isClosed)),
      // A server that does not answer cannot be flushed to.
      Effect.ignore,
      Effect.andThen(Effect.promise(() => this.connection.close()))
    )
  }
}

const explain = ({ servers }: NatsAddress, cause: unknown) => {
  const reason = cause instanceof Error && cause.message !== "" ? cause.message : "connection closed"
  const at = `NATS at ${servers.join(", ")}`
  const refused = cause instanceof errors.AuthorizationError || cause instanceof errors.UserAuthenticationExpiredError
  return new NatsError({
    temporary: !refused,
    message: refused
      ? `nats.address, nats.username, nats.credentials_file: ${at} rejects the credentials (${reason}); correct the user and password, the token, or the file`
      : `nats.address: cannot connect to ${at} (${reason}); start it, correct the key, or leave out the section "nats" to run a single node`
  })
}

/** Connects. It tries each server once, or with `keepTrying` again and again until one answers or it is interrupted. */
export const dial = (
  address: NatsAddress,
  patience: NatsPatience,
  keepTrying: boolean,
  onError: (error: Error) => void
): Effect.Effect<NatsLink, NatsError> =>
  Effect.tryPromise({
    try: async (signal) => {
      const connection = await connect({
        ...address.credentials,
        ...(address.tls !== undefined && { tls: { ...address.tls } }),
        servers: [...address.servers],
        name: "chat-service",
        timeout: patience.dialMs,
        pingInterval: patience.pingMs,
        maxPingOut: patience.unanswered,
        // Subscribers on this node have already received its events.
        noEcho: true,
        reconnect: false,
        waitOnFirstConnect: keepTrying,
        maxReconnectAttempts: -1,
        reconnectTimeWait: 250,
        reconnectJitter: 500,
        reconnectJitterTLS: 500,
        ignoreAuthErrorAbort: true,
        ignoreClusterUpdates: true,
        noAsyncTraces: true,
        reconnectToServer: () => {
          // Throwing here is the only way to stop the client library while it keeps trying.
          signal.throwIfAborted()
          return null
        }
      })
      if (connection.info?.headers !== true) {
        await connection.close()
        throw new Error("the server takes no headers, which carry the signatures of events")
      }
      if (signal.aborted) await connection.close()
      return new NatsLink(connection, onError)
    },
    catch: (cause) => explain(address, cause)
  })
