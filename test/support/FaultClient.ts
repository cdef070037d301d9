import { Effect, Latch, Random, Schema } from "effect"
import { FaultSocket, type Frame, NoAnswer } from "./FaultSocket.ts"
import type { ClientHistory, Connected, Send, View } from "./History.ts"

/** The address of a node for clients. */
interface Endpoint {
  readonly name: string
  readonly url: string
}

/** A user who is signed in. */
interface Someone {
  readonly id: string
  readonly username: string
  readonly token: string
}

interface MutableView extends View {
  after: number
  messagesOnlyUpTo: number
  readonly events: Map<number, string>
}

/** The frames of a conversation since its reset, until it is fetched again. */
interface Reset {
  readonly head: number
  readonly later: Array<readonly [seq: number, what: string]>
}

const Page = Schema.Struct({
  items: Schema.Array(
    Schema.Struct({
      id: Schema.optionalKey(Schema.String),
      event: Schema.optionalKey(Schema.String),
      seq: Schema.Int,
      data: Schema.optionalKey(
        Schema.Struct({ message: Schema.optionalKey(Schema.Struct({ id: Schema.String, seq: Schema.Int })) })
      )
    })
  ),
  head: Schema.optionalKey(Schema.Int),
  hasAfter: Schema.optionalKey(Schema.Boolean)
})
const decodePage = Schema.decodeUnknownSync(Page)
const decodeSent = Schema.decodeUnknownSync(
  Schema.Struct({ message: Schema.Struct({ id: Schema.String, seq: Schema.Int }), duplicate: Schema.Boolean })
)
const decodeConversation = Schema.decodeUnknownSync(
  Schema.Struct({ id: Schema.String, me: Schema.optionalKey(Schema.Struct({ unreadCount: Schema.Int })) })
)

/** Errors after which the same command may succeed. */
const passing = new Set(["/problems/unavailable", "/problems/rate-limited"])

/** The longest pause before a client connects or asks again, in milliseconds; each pause is a random part of it. */
const longestBackOff = 1500

/**
 * A client as the contract describes it: it keeps a cursor for each conversation, resumes with them on any node,
 * fetches again what is reset, and repeats each send under the same id until it is acknowledged. It records everything
 * that it does and sees.
 */
export class FaultClient implements ClientHistory {
  readonly userId: string
  readonly name: string
  readonly sends: Array<Send> = []
  readonly marks = new Map<string, number>()
  readonly asked = new Map<string, Set<number>>()
  readonly connections: Array<Connected> = []
  readonly cursors = new Map<string, number>()
  readonly views = new Map<string, MutableView>()
  readonly complaints: Array<string> = []
  readonly badges = new Map<string, number>()
  readonly resets = { events: 0, messages: 0 }
  private readonly token: string
  private readonly nodes: ReadonlyArray<Endpoint>
  private readonly ready = Latch.makeUnsafe(false)
  private readonly awake = Latch.makeUnsafe(true)
  private readonly refetches = new Map<string, Reset>()
  private socket: FaultSocket | undefined
  private node: Endpoint
  private wantsOther = false
  private userSeq: number | undefined
  private lastMessage = 0

  constructor({ id, token, username }: Someone, nodes: ReadonlyArray<Endpoint>, first: Endpoint) {
    this.userId = id
    this.name = username
    this.token = token
    this.nodes = nodes
    this.node = first
  }

  /** The node to which it is connected, or will be next. */
  get at(): string {
    return this.node.name
  }

  get isOnline(): boolean {
    return this.ready.isOpen()
  }

  /** Connects, and reconnects whenever the connection is lost, until it is interrupted. */
  get life(): Effect.Effect<never> {
    return Effect.gen({ self: this }, function* () {
      for (let failures = 0; ; ) {
        yield* this.awake.await
        const before = performance.now()
        yield* this.connectOnce(this.node)
        failures = performance.now() - before > 5000 ? 0 : failures + 1
        const isAsked = this.wantsOther
        this.wantsOther = false
        if (isAsked || (yield* Random.nextBoolean)) this.node = this.other()
        if (!isAsked) yield* this.backOff(failures)
      }
    })
  }

  /** Leaves the node, with or without a close frame, and continues at another one. */
  readonly move = Effect.gen({ self: this }, function* () {
    this.wantsOther = true
    this.socket?.end("moving", yield* Random.nextBoolean)
  })

  /** Is offline for a while. */
  sleep(millis: number): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      this.awake.closeUnsafe()
      this.socket?.end("sleeping")
      yield* Effect.sleep(millis)
      this.awake.openUnsafe()
    })
  }

  /** Sends one more message, over the socket or HTTP; returns when it is acknowledged. */
  send(conversationId: string, overHttp = false): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const clientMessageId = `${this.name}-${++this.lastMessage}`
      const body = `${clientMessageId} ${"·".repeat(yield* Random.nextIntBetween(0, 200))}`
      const send: Send = { conversationId, clientMessageId, body, attempts: 0, acks: [] }
      this.sends.push(send)
      for (;;) {
        send.attempts++
        const ack = yield* overHttp ? this.post(send) : this.command("message.send", send)
        if (ack !== undefined) {
          send.acks.push(ack)
          return
        }
        yield* this.backOff(send.attempts)
      }
    })
  }

  /** Marks everything that it has of the conversation as read. */
  mark(conversationId: string): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const seq = this.cursors.get(conversationId)
      if (seq === undefined) return
      this.asked.set(conversationId, (this.asked.get(conversationId) ?? new Set()).add(seq))
      for (let attempts = 1; (yield* this.command("read.mark", { conversationId, seq })) === undefined; attempts++) {
        yield* this.backOff(attempts)
      }
      this.marks.set(conversationId, Math.max(seq, this.marks.get(conversationId) ?? 0))
    })
  }

  /** The id of the DM with a user, which is opened if needed. */
  dm(userId: string): Effect.Effect<string> {
    return this.persist("POST", "/v1/conversations", { kind: "dm", userId }).pipe(
      Effect.map((body) => decodeConversation(body).id)
    )
  }

  /** Fetches the unread counts of these conversations. */
  count(conversationIds: Iterable<string>): Effect.Effect<void> {
    return Effect.forEach(
      conversationIds,
      (id) =>
        Effect.map(this.persist("GET", `/v1/conversations/${id}`), (body) => {
          this.badges.set(id, decodeConversation(body).me?.unreadCount ?? -1)
        }),
      { discard: true }
    )
  }

  private other(): Endpoint {
    return this.nodes.find((node) => node !== this.node) ?? this.node
  }

  private backOff(failures: number): Effect.Effect<void> {
    const longest = Math.min(longestBackOff, 50 * 2 ** Math.min(failures, 10))
    return Effect.flatMap(Random.nextBetween(0, longest), Effect.sleep)
  }

  private connectOnce(node: Endpoint): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const cursors = this.connections.length === 0 ? undefined : new Map(this.cursors)
      const connected: Connected = { node: node.name, cursors, received: [], end: "" }
      this.connections.push(connected)
      this.refetches.clear()
      let userSeq: number | undefined
      const onFrame = (frame: Frame) => {
        this.receive(connected, socket, frame)
        if (frame.event === "ready" && frame.data?.done === true) {
          this.userSeq = userSeq
          this.ready.openUnsafe()
        }
      }
      const hello = {
        token: this.token,
        client: { name: "faults", version: "1" },
        ...(cursors !== undefined && { cursors: Object.fromEntries(cursors) }),
        ...(this.userSeq !== undefined && { userSeq: this.userSeq })
      }
      const greet = Effect.match(
        socketRequest(() => socket, "hello", hello),
        {
          onFailure: () => socket.end("no answer to hello"),
          onSuccess: ({ error, ok }) => {
            userSeq = ok?.userSeq
            if (error === undefined) return
            this.judge("hello", error.type, error.detail)
            socket.end("hello refused")
          }
        }
      )
      const socket: FaultSocket = new FaultSocket(node.url, {
        open: () => void Effect.runFork(greet),
        frame: onFrame,
        end: (code, reason) => {
          this.ready.closeUnsafe()
          if (this.socket === socket) this.socket = undefined
          connected.end = `${code} ${reason}`
          if (code >= 4500) this.complaints.push(`closed with ${code} ${reason}`)
          resume(Effect.void)
        }
      })
      this.socket = socket
      return Effect.sync(() => socket.end("interrupted"))
    })
  }

  private receive(connected: Connected, socket: FaultSocket, frame: Frame): void {
    const { data, event } = frame
    if (event === undefined) return
    const note = (conversationId: string, head: number | undefined) =>
      connected.received.push({ event, conversationId, seq: frame.seq, messageId: data?.message?.id, head })
    for (const { id, seq } of data?.conversations ?? []) {
      note(id, seq)
      this.begin(id, seq)
    }
    const id = frame.conversationId
    if (id === undefined) return
    const head = data?.conversation?.seq ?? (frame.seq === undefined ? data?.seq : undefined)
    note(id, head)
    if (frame.seq !== undefined) this.apply(id, frame.seq, data?.message?.id ?? event)
    else if (event === "conversation.added") this.begin(id, head ?? 0)
    else if (event === "conversation.removed") this.cursors.delete(id)
    else if (event === "conversation.reset") {
      const reset: Reset = { head: head ?? 0, later: [] }
      this.refetches.set(id, reset)
      Effect.runFork(this.refetch(id, reset, socket))
    }
  }

  /** Begins to show the conversation at this seq. */
  private begin(id: string, seq: number): void {
    this.cursors.set(id, seq)
    this.views.set(id, { after: seq, messagesOnlyUpTo: 0, events: new Map() })
  }

  private apply(id: string, seq: number, what: string): void {
    const reset = this.refetches.get(id)
    if (reset !== undefined) {
      reset.later.push([seq, what])
    } else {
      this.cursors.set(id, seq)
      this.views.get(id)?.events.set(seq, what)
    }
  }

  /** Drops what it has of the conversation and fetches it again; its cursor moves only after that. */
  private refetch(id: string, reset: Reset, socket: FaultSocket): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const events = new Map<number, string>()
      const asMessages = reset.head % 2 === 0
      const isWanted = () => this.socket === socket && this.refetches.get(id) === reset
      for (let after = 0, more = true; more; ) {
        const path = `/v1/conversations/${id}/${asMessages ? "messages" : "events"}?limit=200&after=${after}`
        const answer = yield* this.ask("GET", path)
        if (!isWanted()) return
        if (answer === undefined) {
          yield* Effect.sleep(200)
          continue
        }
        const page = decodePage(answer)
        for (const item of page.items) {
          after = item.seq
          if (after <= reset.head) events.set(after, item.data?.message?.id ?? item.event ?? item.id ?? "")
        }
        more = after < reset.head && (asMessages ? page.hasAfter === true : after < (page.head ?? 0))
        if (!asMessages && page.items.length === 0 && more) {
          this.complaints.push(`GET ${path} is empty, and the head is ${page.head}`)
          return
        }
      }
      this.resets[asMessages ? "messages" : "events"]++
      this.refetches.delete(id)
      this.views.set(id, { after: 0, messagesOnlyUpTo: asMessages ? reset.head : 0, events })
      this.cursors.set(id, reset.head)
      for (const [seq, what] of reset.later) this.apply(id, seq, what)
    })
  }

  /** The answer to a command, or undefined when it should be sent again. */
  private command(op: string, data: unknown) {
    return Effect.gen({ self: this }, function* () {
      yield* this.ready.await
      const { error, ok } = yield* socketRequest(() => this.socket, op, data)
      if (error !== undefined) {
        this.judge(op, error.type, error.detail)
        if (error.retryAfterMs !== undefined) yield* Effect.sleep(error.retryAfterMs)
        return undefined
      }
      return { messageId: ok?.messageId ?? "", seq: ok?.seq ?? 0, duplicate: ok?.duplicate === true }
    }).pipe(
      Effect.catch(({ reason }: NoAnswer) => {
        if (reason === "late") this.complaints.push(`no answer to ${op} within 20 s, on a socket that lives`)
        return Effect.succeed(undefined)
      })
    )
  }

  private post({ body, clientMessageId, conversationId }: Send) {
    return Effect.map(
      this.ask("POST", `/v1/conversations/${conversationId}/messages`, { clientMessageId, body }),
      (answer) => {
        if (answer === undefined) return undefined
        const { duplicate, message } = decodeSent(answer)
        return { messageId: message.id, seq: message.seq, duplicate }
      }
    )
  }

  /** Asks until there is an answer. */
  private persist(method: string, path: string, json?: unknown): Effect.Effect<unknown> {
    return Effect.gen({ self: this }, function* () {
      for (let attempts = 1; ; attempts++) {
        const answer = yield* this.ask(method, path, json)
        if (answer !== undefined) return answer
        yield* this.backOff(attempts)
      }
    })
  }

  /** The body of a successful answer, or undefined when the request should be made again. */
  private ask(method: string, path: string, json?: unknown): Effect.Effect<unknown> {
    return Effect.tryPromise({
      try: async (signal) => {
        const response = await fetch(this.node.url + path, {
          method,
          signal,
          headers: {
            authorization: `Bearer ${this.token}`,
            ...(json !== undefined && { "content-type": "application/json" })
          },
          ...(json !== undefined && { body: JSON.stringify(json) })
        })
        const body: unknown = await response.json()
        if (response.status < 300) return body
        // The body took too long to arrive.
        if (response.status === 408) return undefined
        const type = typeof body === "object" && body !== null && "type" in body ? String(body.type) : "no problem"
        this.judge(`${method} ${path}`, type, JSON.stringify(body))
        return undefined
      },
      // The node is down, or went down while it answered.
      catch: () => undefined
    }).pipe(
      Effect.timeout("15 seconds"),
      Effect.orElseSucceed(() => undefined)
    )
  }

  /** Records a complaint, unless the error is a temporary one. */
  private judge(what: string, type: string, detail = ""): void {
    if (!passing.has(type)) this.complaints.push(`${what} is refused with ${type} ${detail}`)
  }
}

const socketRequest = (socket: () => FaultSocket | undefined, op: string, data: unknown) =>
  Effect.suspend(() => socket()?.request(op, data) ?? Effect.fail(new NoAnswer({ reason: "lost" })))
