import { randomUUID } from "node:crypto"
import type { Socket } from "node:net"
import { Effect, Exit, Scope } from "effect"
import type { RawData, WebSocket } from "ws"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import type { Problem, RateLimited } from "../domain/Problem.ts"
import { batchCapability, CloseCode, type Command } from "../domain/Protocol.ts"
import { makeTooOften, tooManyAtOnce } from "../domain/Refusals.ts"
import type { Principal } from "../domain/Session.ts"
import type { Cursor } from "../realtime/Cursor.ts"
import type { Frame } from "../realtime/Frame.ts"
import { closeGraceMs, type ServedSocket } from "../realtime/SocketServer.ts"
import { loads, type ResumableSubscriber } from "../realtime/Subscriber.ts"
import { encodeFrame, encodeJson } from "../realtime/TextFrame.ts"
import type { SettingsShape } from "../services/platform/Settings.ts"
import { TokenBucket } from "../services/platform/TokenBucket.ts"
import { type CommandKind, CommandLanes } from "./CommandLanes.ts"
import { Outbox } from "./Outbox.ts"
import { jsonOf } from "./ProblemJson.ts"
import { warningOf } from "./TokenExpiry.ts"

const tooManyCommands = makeTooOften("Too many commands a second")
const tooManyInFlight = tooManyAtOnce("Too many commands are in flight")

/** For each so many bytes a frame counts as one command at least. */
const bytesPerCommand = 4096
/** The load at which the socket is closed. */
const full = 1
const pingFrame = encodeFrame(`{"event":"ping"}`)

/** What serves the sockets. It is one object for all, because what each socket has for itself is kept as long as it is open. */
export interface Host {
  /** Takes a frame of the client. */
  readonly receive: (connection: Connection, data: RawData, isBinary: boolean) => void
  /** Reads what a cursor missed from the log. */
  readonly catchUp: (connection: Connection, cursor: Cursor) => void
  /** Called once when the socket is gone, with the code with which it was closed. */
  readonly gone: (connection: Connection, code: number) => void
}

/** One socket: its outbox with the slow-consumer steps, its clocks, its limits, and its cursors. It knows no services. */
export class Connection implements ResumableSubscriber, ServedSocket {
  readonly id = randomUUID()
  readonly openedAt: number
  readonly address: string
  readonly outbox: Outbox
  readonly cursors = new Map<ConversationId, Cursor>()
  readonly scope = Scope.makeUnsafe()
  /** Commands that arrived after a hello and before one succeeded. */
  early: Array<Command> | undefined
  /** It is `refused` after a hello that the client may repeat. */
  state: "opening" | "greeting" | "refused" | "open" | "closing" = "opening"
  inFlight = 0
  received = 0
  /** How many bytes the first frame had, which is paid when it is known whose hello it is; 0 since another one came. */
  helloBytes = 0
  sent = 0
  /** How many ephemeral events were dropped, and how often bodies were stopped, because the client was too slow. */
  dropped = 0
  stopped = 0
  /** The code with which we closed the socket: the code that the peer answers may differ. */
  closedWith: CloseCode | undefined
  principal: Principal | undefined
  private readonly ws: WebSocket
  private readonly settings: SettingsShape
  private readonly host: Host
  private readonly bucket: TokenBucket
  /** It is made for the first command that has turns. */
  private lanes: CommandLanes | undefined
  private now: number
  private lastReceivedAt: number
  private pingedAt: number | undefined
  private closingSince: number | undefined
  /** When the client is told that its token expires, by the time of day; undefined until that is known. */
  private warnsAt: number | undefined
  /** How many commands are running that may end the socket's own session, and how that ended meanwhile. */
  private ending = 0
  private ended: { readonly code: CloseCode; readonly reason: string } | undefined

  constructor(ws: WebSocket, socket: Socket, address: string, now: number, settings: SettingsShape, host: Host) {
    this.ws = ws
    this.address = address
    this.openedAt = now
    this.now = now
    this.lastReceivedAt = now
    this.settings = settings
    this.host = host
    const { limits } = settings
    this.outbox = new Outbox(socket, { bytes: limits.outboxBytes, frames: limits.outboxFrames })
    this.bucket = new TokenBucket(limits.commandsPerSecond, limits.commandsBurst, now)
  }

  /** The user who said hello. Throws before that. */
  get userId(): UserId {
    if (this.principal === undefined) throw new Error("the socket has not said hello")
    return this.principal.userId
  }

  get room(): Effect.Effect<void> {
    return Effect.callback((resume) => this.outbox.onceBelow(loads.replay, () => resume(Effect.void)))
  }

  /** Whether there is room now, so that `room` need not be waited for. */
  get hasRoom(): boolean {
    return this.outbox.load < loads.replay
  }

  /** Whether nothing may be sent any longer. */
  get isClosing(): boolean {
    return this.state === "closing"
  }

  receive(data: RawData, isBinary: boolean): void {
    this.host.receive(this, data, isBinary)
  }

  gone(code: number): void {
    this.host.gone(this, code)
  }

  /** Counts a frame of the client, and keeps the socket alive. */
  heard(now: number): void {
    this.now = now
    this.lastReceivedAt = now
    this.pingedAt = undefined
    this.received++
  }

  /** Counts the bytes of a frame that its commands need not have. */
  weigh(bytes: number, commands: number): void {
    this.bucket.spend(Math.max(0, Math.floor(bytes / bytesPerCommand) - commands), this.now)
  }

  /** The error for a command beyond the limits, or undefined. Closes the socket of a client that does not slow down. */
  overLimit(): RateLimited | undefined {
    const retryAfterMs = this.bucket.take(this.now)
    if (retryAfterMs === 0) {
      if (this.inFlight < this.settings.limits.commandsInFlight) return undefined
      return tooManyInFlight
    }
    if (this.bucket.refused > this.settings.limits.commandsBurst) this.close(CloseCode.rateLimited, "rate limited")
    return tooManyCommands(retryAfterMs)
  }

  /** Starts a command in its turn (see `CommandLanes`). `start` must call `done` once when the command has ended. */
  inTurn(conversationId: ConversationId | undefined, kind: CommandKind, start: (done: () => void) => void): void {
    this.inFlight++
    const finish = () => {
      this.inFlight--
    }
    if (conversationId !== undefined) this.lanes ??= new CommandLanes()
    if (conversationId === undefined || this.lanes === undefined) start(finish)
    else this.lanes.run(conversationId, kind, start, finish)
  }

  /** Sends the result of a command. */
  answer(id: Command["id"], ok: unknown): void {
    this.write(encodeJson({ id, ok }))
  }

  /** Sends the problem of a command, with null for an id that cannot be read; the socket stays open. */
  refuse(id: Command["id"] | null, problem: Problem): void {
    this.write(encodeFrame(`{"id":${JSON.stringify(id)},"error":${jsonOf(problem)}}`))
  }

  /** Sends an event that must not be dropped; a full outbox closes the socket. */
  send(...[event]: Parameters<ResumableSubscriber["send"]>): void {
    this.write(encodeJson(event))
  }

  private write(bytes: Buffer): void {
    if (this.isClosing) return
    if (this.outbox.load >= full) {
      this.close(CloseCode.slowConsumer, "slow consumer")
    } else {
      this.sent++
      this.outbox.push(bytes)
    }
  }

  /** Sends an ephemeral event. False, and dropped, when the client is behind or the socket is closing. */
  offer(frame: Frame): boolean {
    if (this.isClosing) return false
    if (this.outbox.load >= loads.dropEphemeral) {
      this.dropped++
      return false
    }
    this.write(frame.bytes)
    return true
  }

  /**
   * Sends a durable event. False when the client is behind: it gets a `conversation.dirty` instead, and its cursor catches
   * up once there is room.
   */
  deliver(frame: Frame): boolean {
    if (this.isClosing) return false
    const { bytes } = frame
    // A body that would fill the outbox is stopped too.
    if (this.outbox.load < loads.stopBodies && this.outbox.loadWith(bytes.length) < full) {
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
      this.outbox.onceBelow(loads.resumeBodies, () => this.reread(cursor))
    }
    return false
  }

  /** Reads from the log what the cursor has not received. */
  reread(cursor: Cursor): void {
    this.host.catchUp(this, cursor)
  }

  /**
   * Checks all time-outs of the socket. `now` is of the monotonic clock, as all of its other times; `wallNow` is the
   * time of day, by which tokens expire.
   */
  tick(now: number, wallNow: number): void {
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
      this.watchExpiry(wallNow, this.principal.expiresAt)
    }
  }

  /** Binds the socket to its user; `caps` are the capabilities that the client named in its hello. */
  authenticate(principal: Principal, caps: ReadonlyArray<string> = []): void {
    this.principal = principal
    this.outbox.batches = caps.includes(batchCapability)
  }

  /** Continues with a new token. */
  renew(principal: Principal): void {
    this.principal = principal
    this.warnsAt = undefined
  }

  /** Sends the queued frames and then the close frame; a peer that does not answer is cut off. Repeating it is safe. */
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

  /** Closes the socket because its session has ended; a command that ended it is answered first. */
  endSession(code: CloseCode, reason: string): void {
    if (this.ending === 0) this.close(code, reason)
    else this.ended = { code, reason }
  }

  /** Begins a command that may end the session. The returned function must be called once it is answered. */
  beginEnding(): () => void {
    this.ending++
    return () => {
      if (--this.ending === 0 && this.ended !== undefined) this.close(this.ended.code, this.ended.reason)
    }
  }

  /** Frees what the socket held; must be called once when it is gone. */
  dispose(): Effect.Effect<void> {
    this.state = "closing"
    this.cursors.clear()
    return Scope.close(this.scope, Exit.void)
  }

  private watchExpiry(now: number, expiresAt: number): void {
    this.warnsAt ??= warningOf(now, expiresAt, this.settings.timers)
    if (now >= expiresAt) {
      this.close(CloseCode.tokenExpired, "token expired")
    } else if (now >= this.warnsAt) {
      this.warnsAt = Number.POSITIVE_INFINITY
      this.send({ event: "session.expiring", data: { expiresAt: new Date(expiresAt).toISOString() } })
    }
  }
}
