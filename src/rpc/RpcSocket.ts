import type { Socket } from "node:net"
import { Context, Effect, Semaphore } from "effect"
import type { RpcMessage } from "effect/rpc"
import type { WebSocket } from "ws"
import type { ServiceTokenId, SessionId, UserId } from "../domain/Ids.ts"
import type { RateLimited } from "../domain/Problem.ts"
import { CloseCode } from "../domain/Protocol.ts"
import { makeTooOften, tooManyAtOnce } from "../domain/Refusals.ts"
import type { Principal } from "../domain/Session.ts"
import { closeGraceMs, type ServedSocket } from "../realtime/SocketServer.ts"
import { encodeJson } from "../realtime/TextFrame.ts"
import type { SettingsShape } from "../services/platform/Settings.ts"
import { TokenBucket } from "../services/platform/TokenBucket.ts"

/** How many calls may wait for their turn. */
const maxWaiting = 100

/**
 * For each so many bytes, a frame counts as one more message: a larger frame than a command may have, and every frame until a
 * call was let in.
 */
const bytesPerMessage = 4096

const tooManyMessages = makeTooOften("Too many messages a second")
const tooManyWaiting = tooManyAtOnce("Too many calls are waiting")

/** A message of a client, as far as its limits need it. */
type Message = Pick<RpcMessage.FromClientEncoded, "_tag">

/**
 * One socket that carries calls: the turns of its calls, its limits and its clocks. It knows no services. All times are in
 * milliseconds of the monotonic clock.
 */
export class RpcSocket implements ServedSocket {
  readonly address: string
  readonly openedAt: number
  /** The sessions that have called over it, and their users. */
  readonly sessions = new Set<SessionId>()
  /** The service tokens with which programs have called in the name of users, and one such user's session for each. */
  private readonly acting = new Map<ServiceTokenId, SessionId>()
  /** Whether a call with a token was let in. */
  isKnown = false
  readonly users = new Set<UserId>()
  /** How many calls it has carried, and how many of them are being served or wait for their turn. */
  calls = 0
  inFlight = 0
  /** The code with which it was closed: ours, or else that of the peer. */
  closedWith: number | undefined
  /** What takes its messages, and is called once when it is gone. */
  receive: ServedSocket["receive"] = () => {}
  gone: ServedSocket["gone"] = () => {}
  private readonly ws: WebSocket
  private readonly tcp: Socket
  private readonly limits: SettingsShape["limits"]
  private readonly timers: SettingsShape["timers"]
  private readonly admitsUser: (userId: UserId) => boolean
  private readonly bucket: TokenBucket
  private readonly turns: Semaphore.Semaphore
  private readonly waitForRoom = new Set<() => void>()
  private served = false
  private waiting = 0
  /** How many parts of streams were sent that the client has still to acknowledge. */
  private unacknowledged = 0
  private now: number
  private lastReceivedAt: number
  private pingedAt: number | undefined
  private blockedSince: number | undefined
  private closingSince: number | undefined

  constructor(
    ws: WebSocket,
    tcp: Socket,
    address: string,
    now: number,
    { limits, timers }: SettingsShape,
    admitsUser: (userId: UserId) => boolean
  ) {
    this.ws = ws
    this.tcp = tcp
    this.address = address
    this.openedAt = now
    this.now = now
    this.lastReceivedAt = now
    this.admitsUser = admitsUser
    this.limits = limits
    this.timers = timers
    this.bucket = new TokenBucket(limits.commandsPerSecond, limits.commandsBurst, now)
    this.turns = Semaphore.makeUnsafe(limits.commandsInFlight)
    tcp.on("drain", () => {
      this.blockedSince = undefined
      for (const resume of [...this.waitForRoom]) resume()
    })
  }

  /** Whether nothing may be sent any longer. */
  get isClosing(): boolean {
    return this.closingSince !== undefined
  }

  /** Notes that a call of a session was let in. Closes the socket of a user who has too many of them. */
  signedIn({ sessionId, userId }: Principal): void {
    if (!this.users.has(userId) && !this.admitsUser(userId)) {
      this.close(CloseCode.tooManyConnections, "too many connections")
      return
    }
    this.admitted()
    this.sessions.add(sessionId)
    this.users.add(userId)
  }

  /**
   * Notes that a call of a program in the name of a user was let in, and says whether it is the first one with its token.
   * It counts for no limit of the user, since one program calls for many.
   */
  actedWith(tokenId: ServiceTokenId, sessionId: SessionId): boolean {
    this.admitted()
    if (this.acting.has(tokenId)) return false
    this.acting.set(tokenId, sessionId)
    return true
  }

  /** Notes that a call with a token was let in. */
  admitted(): void {
    this.isKnown = true
    this.served = true
  }

  /** Notes that a call of anybody has succeeded. */
  succeeded(): void {
    this.served = true
  }

  /** Whether the socket ends with sessions: with its own ones, and with the tokens of its programs, but not with their users. */
  endsWith(ids: ReadonlyArray<SessionId>, areClosed: boolean): boolean {
    if (ids.some((id) => this.sessions.has(id))) return true
    for (const [tokenId, id] of this.acting) {
      if (!ids.includes(id)) continue
      if (!areClosed) return true
      // The next call with the token chooses another user.
      this.acting.delete(tokenId)
    }
    return false
  }

  /** Counts a frame of the client, and keeps the socket alive. */
  heard(now: number): void {
    this.now = now
    this.lastReceivedAt = now
    this.pingedAt = undefined
  }

  /**
   * Counts the bytes of a frame that is about to be parsed. False for one that need not be: a frame of several messages' bytes
   * beyond the limit, before a call was let in. To refuse its messages it would have to be parsed.
   */
  weigh(bytes: number): boolean {
    const messages = this.isKnown && bytes <= this.limits.frameBytes ? 0 : Math.floor(bytes / bytesPerMessage)
    if (messages > 0 && !this.isKnown && this.bucket.wait(this.now) > 0) return false
    this.bucket.spend(messages, this.now)
    return true
  }

  /**
   * The error for one more frame or message beyond the limit, or undefined. Closes the socket of a client that does
   * not slow down.
   */
  overLimit(): RateLimited | undefined {
    const retryAfterMs = this.bucket.take(this.now)
    if (retryAfterMs === 0) return undefined
    if (this.bucket.refused > this.limits.commandsBurst) this.close(CloseCode.rateLimited, "rate limited")
    return tooManyMessages(retryAfterMs)
  }

  /** The error for a message beyond the limits, or undefined. What acknowledges a part of a stream costs nothing. */
  refusalOf({ _tag }: Message): RateLimited | undefined {
    if (_tag === "Ack" && this.unacknowledged > 0) {
      this.unacknowledged--
      return undefined
    }
    const refusal = this.overLimit()
    if (refusal !== undefined || _tag !== "Request" || this.waiting < maxWaiting) return refusal
    return tooManyWaiting
  }

  /** Serves a call in its turn. The number of calls at a time is limited, and none is served while the peer does not read. */
  inTurn<A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      let waits = true
      this.waiting++
      const begin = () => {
        if (waits) this.waiting--
        waits = false
      }
      const served = Effect.andThen(Effect.sync(begin), call)
      return Effect.ensuring(this.turns.withPermits(1)(Effect.andThen(this.room, served)), Effect.sync(begin))
    })
  }

  /** Waits while more is written than the peer reads. */
  private readonly room = Effect.callback<void>((resume) => {
    if (this.tcp.destroyed || this.tcp.writableLength <= this.limits.outboxBytes) return resume(Effect.void)
    const go = () => {
      this.waitForRoom.delete(go)
      resume(Effect.void)
    }
    this.waitForRoom.add(go)
    return Effect.sync(() => this.waitForRoom.delete(go))
  })

  /** Sends a message. It never waits, since calls are not served while much is on its way. */
  send(message: RpcMessage.FromServerEncoded): void {
    if (this.isClosing || this.ws.readyState !== this.ws.OPEN) return
    if (message._tag === "Chunk") this.unacknowledged++
    this.tcp.write(encodeJson(message))
  }

  /** Checks all time-outs of the socket. */
  tick(now: number): void {
    this.now = now
    this.blockedSince = this.tcp.writableNeedDrain ? (this.blockedSince ?? now) : undefined
    if (this.closingSince !== undefined) {
      if (now - this.closingSince >= closeGraceMs) this.ws.terminate()
    } else if (!this.served && now - this.openedAt >= this.timers.hello) {
      this.close(CloseCode.helloTimeout, "no call")
    } else if (this.blockedSince !== undefined && now - this.blockedSince >= this.timers.writeStuck) {
      this.close(CloseCode.slowConsumer, "slow consumer")
    } else if (this.pingedAt !== undefined && now - this.pingedAt >= this.timers.heartbeatAnswer) {
      this.close(CloseCode.heartbeatTimeout, "no answer to ping")
    } else if (this.pingedAt === undefined && now - this.lastReceivedAt >= this.timers.heartbeat) {
      this.pingedAt = now
      this.ws.ping()
    }
  }

  /** Closes the socket; a peer that does not answer is cut off. Repeating it is safe. */
  close(code: CloseCode, reason: string): void {
    if (this.isClosing) return
    this.closedWith = code
    this.closingSince = this.now
    this.ws.close(code, reason)
  }

  /** Lets go of what waits for the peer to read; must be called once when the socket is gone. */
  dispose(): void {
    this.closingSince ??= this.now
    for (const resume of [...this.waitForRoom]) resume()
  }
}

/** The socket that carries the call, or undefined for a call over HTTP. */
export const CurrentRpcSocket = Context.Reference<RpcSocket | undefined>("chat/rpc/CurrentRpcSocket", {
  defaultValue: () => undefined
})
