import { Data, Effect, Schema } from "effect"
import { WebSocket } from "ws"

const Message = Schema.Struct({ id: Schema.String, seq: Schema.Int })
const Conversation = Schema.Struct({ id: Schema.String, seq: Schema.Int })

const Frame = Schema.Struct({
  id: Schema.optionalKey(Schema.Finite),
  ok: Schema.optionalKey(
    Schema.Struct({
      messageId: Schema.optionalKey(Schema.String),
      seq: Schema.optionalKey(Schema.Int),
      duplicate: Schema.optionalKey(Schema.Boolean),
      userSeq: Schema.optionalKey(Schema.Int)
    })
  ),
  error: Schema.optionalKey(
    Schema.Struct({
      type: Schema.String,
      detail: Schema.optionalKey(Schema.String),
      retryAfterMs: Schema.optionalKey(Schema.Int)
    })
  ),
  event: Schema.optionalKey(Schema.String),
  conversationId: Schema.optionalKey(Schema.String),
  seq: Schema.optionalKey(Schema.Int),
  data: Schema.optionalKey(
    Schema.Struct({
      message: Schema.optionalKey(Message),
      conversation: Schema.optionalKey(Conversation),
      conversations: Schema.optionalKey(Schema.Array(Conversation)),
      done: Schema.optionalKey(Schema.Boolean),
      seq: Schema.optionalKey(Schema.Int),
      afterMs: Schema.optionalKey(Schema.Int)
    })
  )
})
export type Frame = typeof Frame.Type

const decodeFrame = Schema.decodeUnknownSync(Schema.fromJsonString(Frame))

/** The socket ended, or the answer did not come in time. It is not known whether the command was carried out. */
export class NoAnswer extends Data.TaggedError("NoAnswer")<{ readonly reason: "lost" | "late" }> {}

/** How long a client waits, in milliseconds: for the connection, for an answer, and for a sign of life when all is quiet. */
interface ClientPatience {
  readonly connect: number
  readonly answer: number
  readonly quiet: number
  readonly ping: number
}

const clientPatience: ClientPatience = { connect: 4000, answer: 20_000, quiet: 2500, ping: 3000 }

/** One WebSocket that notices when the other side is gone. Commands get their answers; events go to `onFrame`. */
export class FaultSocket {
  private readonly ws: WebSocket
  private readonly patience: ClientPatience
  private readonly pending = new Map<number, (answer: Frame | "lost") => void>()
  private readonly watch: NodeJS.Timeout
  private lastId = 0
  private heardAt = performance.now()
  private pingedAt: number | undefined
  private reason: string | undefined

  constructor(
    url: string,
    on: {
      readonly open: () => void
      readonly frame: (frame: Frame) => void
      readonly end: (code: number, reason: string) => void
    },
    patience = clientPatience
  ) {
    this.patience = patience
    this.ws = new WebSocket(`${url.replace(/^http/, "ws")}/v1/ws`, {
      perMessageDeflate: false,
      handshakeTimeout: patience.connect
    })
    this.watch = setInterval(() => this.look(), 250)
    this.ws.on("open", on.open)
    this.ws.on("error", (error) => {
      this.reason ??= error.message
    })
    this.ws.on("message", (data) => {
      this.heardAt = performance.now()
      this.pingedAt = undefined
      const frame = decodeFrame(data.toString())
      const waiting = frame.id === undefined ? undefined : this.pending.get(frame.id)
      if (waiting === undefined) return on.frame(frame)
      waiting(frame)
    })
    this.ws.on("close", (code, reason) => {
      clearInterval(this.watch)
      for (const tell of [...this.pending.values()]) tell("lost")
      on.end(code, this.reason ?? reason.toString())
    })
  }

  /** Sends a command: its answer. `late` after `patience.answer`. */
  request(op: string, data: unknown): Effect.Effect<Frame, NoAnswer> {
    return Effect.callback<Frame, NoAnswer>((resume) => {
      if (this.ws.readyState !== WebSocket.OPEN) return resume(Effect.fail(new NoAnswer({ reason: "lost" })))
      const id = ++this.lastId
      const timer = setTimeout(() => {
        this.pending.delete(id)
        resume(Effect.fail(new NoAnswer({ reason: "late" })))
      }, this.patience.answer)
      this.pending.set(id, (answer) => {
        clearTimeout(timer)
        this.pending.delete(id)
        resume(answer === "lost" ? Effect.fail(new NoAnswer({ reason: "lost" })) : Effect.succeed(answer))
      })
      this.ws.send(JSON.stringify({ id, op, data }))
      return Effect.sync(() => {
        clearTimeout(timer)
        this.pending.delete(id)
      })
    })
  }

  /** Ends the connection, with or without a close frame. */
  end(reason: string, politely = false): void {
    this.reason ??= reason
    if (politely) this.ws.close(1000)
    else this.ws.terminate()
  }

  private look(): void {
    const now = performance.now()
    if (this.ws.readyState === WebSocket.CLOSING && now - this.heardAt > this.patience.connect) this.ws.terminate()
    if (this.ws.readyState !== WebSocket.OPEN) return
    if (this.pingedAt !== undefined) {
      if (now - this.pingedAt > this.patience.ping) this.end("no answer to ping")
    } else if (now - this.heardAt > this.patience.quiet) {
      this.pingedAt = now
      // Any frame that arrives counts as the answer.
      this.ws.send(JSON.stringify({ id: ++this.lastId, op: "ping" }))
    }
  }
}
