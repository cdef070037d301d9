import { randomUUID } from "node:crypto"
import type { Socket } from "node:net"
import { Effect, Exit, Schema, Scope } from "effect"
import type { WebSocket } from "ws"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import { Problem, RateLimited } from "../domain/Problem.ts"
import type { Principal } from "../domain/Session.ts"
import type { SettingsShape } from "../services/Settings.ts"
import type { Receiver } from "./CatchUp.ts"
import type { Cursor } from "./Cursor.ts"
import type { Frame } from "./Frame.ts"
import { Outbox } from "./Outbox.ts"
import { CloseCode, type Command, encodeFrame, encodeJson } from "./Protocol.ts"
import { TokenBucket } from "./TokenBucket.ts"

const encodeProblem = Schema.encodeSync(Problem)
const pingFrame = encodeFrame(`{"event":"ping"}`)

/** From this load on the step is taken: ephemeral events dropped, bodies stopped, the socket closed. */
const loads = { replay: 0.5, dropEphemeral: 0.5, stopBodies: 0.8, full: 1, resumeBodies: 0.25 }

/** How long a peer has to answer our close before the TCP connection is cut, in milliseconds. */
const closeGraceMs = 2000

/** What waits for its turn among the commands of one conversation. */
interface Lane {
  readonly waiting: Array<() => void>
  /** `send` when all that runs are sends: those keep their order by themselves, so another may start. */
  running: number
  kind: "send" | "other"
}

/**
 * One socket: its outbox with the slow-consumer steps, its clocks, its limits, and its places in conversations. It
 * knows no services: `catchUp` is asked to read what a cursor missed from the log.
 */
export class Connection implements Receiver {
  readonly id = randomUUID()
  readonly openedAt: number
  readonly address: string
  readonly outbox: Outbox
  readonly cursors = new Map<ConversationId, Cursor>()
  readonly scope = Scope.makeUnsafe()
  readonly room = Effect.callback<void>((resume) => this.outbox.onceBelow(loads.replay, () => resume(Effect.void)))
  /** Commands that came before hello was answered. */
  readonly early: Array<Command> = []
  state: "opening" | "greeting" | "open" | "closing" = "opening"
  inFlight = 0
  received = 0
  sent = 0
  /** Ephemeral events that were not sent, and how often bodies were stopped: it was too slow to take them. */
  dropped = 0
  stopped = 0
  /** Why we close it, once we do: what the peer says of it may be anything. */
  closedWith: CloseCode | undefined
  principal: Principal | undefined
  private readonly ws: WebSocket
  private readonly settings: SettingsShape
  private readonly catchUp: (cursor: Cursor) => void
  private readonly bucket: TokenBucket
  private readonly lanes = new Map<ConversationId, Lane>()
  private now: number
  private lastReceivedAt: number
  private pingedAt: number | undefined
  private closingSince: number | undefined
  private warnedOfExpiry = false

  constructor(
    ws: WebSocket,
    socket: Socket,
    address: string,
    now: number,
    settings: SettingsShape,
    catchUp: (cursor: Cursor) => void
  ) {
    this.ws = ws
    this.address = address
    this.openedAt = now
    this.now = now
    this.lastReceivedAt = now
    this.settings = settings
    this.catchUp = catchUp
    const { limits } = settings
    this.outbox = new Outbox(socket, { bytes: limits.outboxBytes, frames: limits.outboxFrames })
    this.bucket = new TokenBucket(limits.commandsPerSecond, limits.commandsBurst, now)
  }

  get userId(): UserId {
    if (this.principal === undefined) throw new Error("the socket has not said hello")
    return this.principal.userId
  }

  /** There is no need to wait for `room`. */
  get hasRoom(): boolean {
    return this.outbox.load < loads.replay
  }

  get isClosing(): boolean {
    return this.state === "closing"
  }

  /** Counts a frame of the client, and keeps the socket alive. */
  heard(now: number): void {
    this.now = now
    this.lastReceivedAt = now
    this.pingedAt = undefined
    this.received++
  }

  /** The error of a command beyond the limits, or undefined; a client that goes on all the same is closed. */
  overLimit(): RateLimited | undefined {
    const retryAfterMs = this.bucket.take(this.now)
    if (retryAfterMs === 0) {
      if (this.inFlight < this.settings.limits.commandsInFlight) return undefined
      return new RateLimited({ retryAfterMs: 100, detail: "Too many commands are in flight" })
    }
    if (this.bucket.refused > this.settings.limits.commandsBurst) this.close(CloseCode.rateLimited, "rate limited")
    return new RateLimited({ retryAfterMs, detail: "Too many commands a second" })
  }

  /**
   * Starts a command in its turn: those of one conversation take effect in the order sent. Sends may be on their way
   * together, since the log keeps their order; anything else waits for what came before, and is waited for.
   */
  inTurn(conversationId: ConversationId | undefined, kind: "send" | "other", start: (done: () => void) => void): void {
    this.inFlight++
    const finish = () => {
      this.inFlight--
    }
    if (conversationId === undefined) {
      start(finish)
      return
    }
    const lane = this.lanes.get(conversationId) ?? { waiting: [], running: 0, kind }
    this.lanes.set(conversationId, lane)
    const run = () => {
      lane.running++
      lane.kind = kind
      start(() => {
        finish()
        if (--lane.running > 0) return
        if (lane.waiting.length === 0) this.lanes.delete(conversationId)
        else lane.waiting.shift()?.()
      })
    }
    if (lane.running === 0 || (kind === "send" && lane.kind === "send" && lane.waiting.length === 0)) run()
    else lane.waiting.push(run)
  }

  answer(id: Command["id"], ok: unknown): void {
    this.write(encodeJson({ id, ok }))
  }

  refuse(id: Command["id"], problem: Problem): void {
    this.write(encodeJson({ id, error: encodeProblem(problem) }))
  }

  /** Sends what must not be dropped; a full outbox closes the socket. */
  send(...[event]: Parameters<Receiver["send"]>): void {
    this.write(encodeJson(event))
  }

  private write(bytes: Buffer): void {
    if (this.isClosing) return
    if (this.outbox.load >= loads.full) {
      this.close(CloseCode.slowConsumer, "slow consumer")
    } else {
      this.sent++
      this.outbox.push(bytes)
    }
  }

  offer(frame: Frame): boolean {
    if (this.isClosing) return false
    if (this.outbox.load >= loads.dropEphemeral) {
      this.dropped++
      return false
    }
    this.write(frame.bytes)
    return true
  }

  deliver(frame: Frame): boolean {
    if (this.isClosing) return false
    const { bytes } = frame
    // A body that would fill it all the way waits too.
    if (this.outbox.load < loads.stopBodies && this.outbox.loadWith(bytes.length) < loads.full) {
      this.sent++
      this.outbox.push(bytes)
      return true
    }
    const cursor = frame.conversationId === null ? undefined : this.cursors.get(frame.conversationId)
    if (cursor === undefined) return false
    // Only a live cursor starts to catch up; one that is catching up notices by itself.
    if (cursor.live) {
      this.stopped++
      const data = { seq: frame.seq }
      this.send({ event: "conversation.dirty", conversationId: cursor.conversationId, data })
      this.outbox.onceBelow(loads.resumeBodies, () => this.catchUp(cursor))
    }
    return false
  }

  /** Looks at all clocks of the socket. */
  tick(now: number): void {
    this.now = now
    const { timers } = this.settings
    if (this.closingSince !== undefined) {
      if (now - this.closingSince >= closeGraceMs) this.ws.terminate()
    } else if (this.principal === undefined && now - this.openedAt >= timers.hello) {
      this.close(CloseCode.helloTimeout, "no hello")
    } else if (this.outbox.blockedFor(now) >= timers.writeStuck) {
      this.close(CloseCode.slowConsumer, "slow consumer")
    } else if (this.pingedAt !== undefined && now - this.pingedAt >= timers.heartbeatAnswer) {
      this.close(CloseCode.heartbeatTimeout, "no answer to ping")
    } else if (this.principal !== undefined) {
      if (this.pingedAt === undefined && now - this.lastReceivedAt >= timers.heartbeat) {
        this.pingedAt = now
        this.write(pingFrame)
      }
      this.watchExpiry(now, this.principal.expiresAt)
    }
  }

  /** Goes on with a new token. */
  renew(principal: Principal): void {
    this.principal = principal
    this.warnedOfExpiry = false
  }

  /** Sends what is queued and then the close frame; a peer that does not answer is cut off. */
  close(code: CloseCode, reason: string): void {
    if (this.isClosing) return
    this.state = "closing"
    this.closedWith = code
    this.closingSince = this.now
    // The protocol may have closed by itself.
    if (this.ws.readyState === this.ws.OPEN) this.outbox.flush()
    this.outbox.discard()
    this.ws.close(code, reason)
  }

  /** Frees what the socket held; called once when it is gone. */
  dispose(): Effect.Effect<void> {
    this.state = "closing"
    this.cursors.clear()
    return Scope.close(this.scope, Exit.void)
  }

  private watchExpiry(now: number, expiresAt: number): void {
    if (now >= expiresAt) {
      this.close(CloseCode.tokenExpired, "token expired")
    } else if (!this.warnedOfExpiry && expiresAt - now <= this.settings.timers.sessionExpiring) {
      this.warnedOfExpiry = true
      this.send({ event: "session.expiring", data: { expiresAt: new Date(expiresAt).toISOString() } })
    }
  }
}
