import type { Socket } from "node:net"
import { Data, Effect, Schema } from "effect"
import { type ClientOptions, WebSocket } from "ws"
import { mustBeDescribed, mustBeDescribedFrame } from "./Documented.ts"

export { frameBytes } from "./FrameBytes.ts"

import { patience } from "./TimeLimits.ts"

const Person = Schema.Struct({ id: Schema.String, username: Schema.String, displayName: Schema.String })

const Message = Schema.Struct({
  id: Schema.String,
  seq: Schema.Int,
  senderId: Schema.String,
  clientMessageId: Schema.String,
  body: Schema.String
})
type Message = typeof Message.Type

const Me = Schema.Struct({ readSeq: Schema.Int, unreadCount: Schema.Int })

const Conversation = Schema.Struct({
  id: Schema.String,
  kind: Schema.String,
  seq: Schema.Int,
  lastMessage: Schema.NullOr(Message),
  me: Me
})

/** An error as HTTP and sockets answer with it. */
export const ProblemBody = Schema.Struct({
  type: Schema.String,
  title: Schema.String,
  status: Schema.Int,
  detail: Schema.optionalKey(Schema.String),
  code: Schema.optionalKey(Schema.String),
  errors: Schema.optionalKey(Schema.Array(Schema.Struct({ path: Schema.String, message: Schema.String }))),
  retryAfterMs: Schema.optionalKey(Schema.Int)
})

const fields = {
  id: Schema.optionalKey(Schema.NullOr(Schema.Union([Schema.Finite, Schema.String]))),
  ok: Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown)),
  error: Schema.optionalKey(ProblemBody),
  event: Schema.optionalKey(Schema.String),
  conversationId: Schema.optionalKey(Schema.String),
  seq: Schema.optionalKey(Schema.Int),
  data: Schema.optionalKey(
    Schema.Struct({
      message: Schema.optionalKey(Message),
      conversation: Schema.optionalKey(Conversation),
      conversations: Schema.optionalKey(Schema.Array(Conversation)),
      me: Schema.optionalKey(Me),
      done: Schema.optionalKey(Schema.Boolean),
      resumed: Schema.optionalKey(Schema.Boolean),
      seq: Schema.optionalKey(Schema.Int),
      userId: Schema.optionalKey(Schema.String),
      afterMs: Schema.optionalKey(Schema.Int),
      expiresAt: Schema.optionalKey(Schema.String)
    })
  )
}

const decodeFrame = Schema.decodeUnknownSync(Schema.Struct(fields))

/** A frame of the server: the fields that tests look at, and the whole as `json`. */
type Frame = Schema.Struct<typeof fields>["Type"] & { readonly json: unknown }

/** The upgrade was answered with a status other than 101. */
class Refused extends Data.TaggedError("Refused")<{
  readonly status: number
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
  readonly body: string
}> {}

interface Closed {
  readonly code: number
  readonly reason: string
}

const late = <A, E, R>(self: Effect.Effect<A, E, R>, what: () => string) =>
  Effect.timeoutOrElse(self, {
    duration: patience,
    orElse: () => Effect.suspend(() => Effect.die(new Error(what())))
  })

const brief = (frames: ReadonlyArray<Frame>) =>
  frames
    .slice(-8)
    .map(({ json }) => JSON.stringify(json).slice(0, 200))
    .join("\n")

/** A WebSocket client that does nothing by itself: it does not reconnect, answer `ping` or repair. */
export class Client {
  /** The number of items in each array frame. */
  readonly arrays: Array<number> = []
  /** All received frames in order; the items of an array count one by one. */
  readonly frames: Array<Frame> = []
  private readonly ws: WebSocket
  private readonly tcp: () => Socket | undefined
  private unread: Array<Frame> = []
  private waiting: Array<{ readonly wants: (frame: Frame) => boolean; readonly resume: (frame: Frame) => void }> = []
  private onClose: Array<() => void> = []
  private ended: Closed | undefined
  private lastId = 0
  /** The operations that were asked for, by the ids of the commands. */
  private readonly asked = new Map<unknown, string>()

  constructor(ws: WebSocket, tcp: () => Socket | undefined, described: boolean) {
    this.ws = ws
    this.tcp = tcp
    ws.on("message", (data) => {
      const received: unknown = JSON.parse(data.toString())
      if (Array.isArray(received)) this.arrays.push(received.length)
      for (const json of Array.isArray(received) ? received : [received]) {
        if (described) mustBeDescribedFrame(json, this.asked.get(Object(json).id))
        const frame = { ...decodeFrame(json), json }
        this.frames.push(frame)
        const waiter = this.waiting.find(({ wants }) => wants(frame))
        if (waiter === undefined) this.unread.push(frame)
        else waiter.resume(frame)
      }
    })
    ws.on("error", () => {})
    ws.on("close", (code, reason) => {
      this.ended = { code, reason: reason.toString() }
      for (const tell of this.onClose) tell()
    })
  }

  get protocol(): string {
    return this.ws.protocol
  }

  get isClosed(): boolean {
    return this.ended !== undefined
  }

  /** Sends JSON. */
  send(frame: unknown): void {
    this.raw(JSON.stringify(frame))
  }

  /** Sends a text frame as it is, or writes bytes to the connection below the protocol. */
  raw(what: string | Uint8Array): void {
    if (typeof what !== "string") return void this.tcp()?.write(what)
    this.note(what)
    this.ws.send(what)
  }

  private note(text: string): void {
    for (const [, id = "", op = ""] of text.matchAll(/"id":("[^"]*"|[^",}]+),"op":"([^"]*)"/g))
      this.asked.set(JSON.parse(id), op)
  }

  /** Sends a command without waiting, and returns its id. */
  request(op: string, data?: unknown): number {
    const id = ++this.lastId
    this.send({ id, op, ...(data !== undefined && { data }) })
    return id
  }

  /** Sends a command, and waits for its answer. */
  command(op: string, data?: unknown): Effect.Effect<Frame> {
    return Effect.suspend(() => this.answer(this.request(op, data)))
  }

  /** Waits for the answer to a command that was sent. */
  answer(id: number | string): Effect.Effect<Frame> {
    return this.next((frame) => frame.id === id, `an answer to ${id}`)
  }

  /** Sends a command that must succeed, and returns its `ok`. */
  ok(op: string, data?: unknown): Effect.Effect<Record<string, unknown>> {
    return Effect.flatMap(this.command(op, data), ({ json, ok }) =>
      ok === undefined ? Effect.die(new Error(`${op}: ${JSON.stringify(json)}`)) : Effect.succeed(ok)
    )
  }

  /** Sends a command that must fail, and returns its `error`. */
  error(op: string, data?: unknown): Effect.Effect<typeof ProblemBody.Type> {
    return Effect.flatMap(this.command(op, data), ({ error, json }) =>
      error === undefined ? Effect.die(new Error(`${op}: ${JSON.stringify(json)}`)) : Effect.succeed(error)
    )
  }

  /** Takes the first frame that `wants` accepts and that nobody has taken, received or still to come. */
  next(wants: (frame: Frame) => boolean, what = "a frame"): Effect.Effect<Frame> {
    return late(
      Effect.callback<Frame>((resume) => {
        const at = this.unread.findIndex(wants)
        const found = this.unread[at]
        if (found !== undefined) {
          this.unread.splice(at, 1)
          return resume(Effect.succeed(found))
        }
        const failed = () =>
          resume(Effect.die(new Error(`closed with ${this.ended?.code} instead of ${what}\n${brief(this.frames)}`)))
        if (this.ended !== undefined) return failed()
        const waiter = {
          wants,
          resume: (frame: Frame) => {
            leave()
            resume(Effect.succeed(frame))
          }
        }
        const leave = () => {
          this.waiting = this.waiting.filter((other) => other !== waiter)
          this.onClose = this.onClose.filter((other) => other !== failed)
        }
        this.waiting.push(waiter)
        this.onClose.push(failed)
        return Effect.sync(leave)
      }),
      () => `no ${what} in ${this.frames.length} frames, the last of which are\n${brief(this.frames)}`
    )
  }

  /** Takes the next event of that name, of that conversation when one is given. */
  event(name: string, conversationId?: string): Effect.Effect<Frame> {
    return this.next(
      (frame) => frame.event === name && (conversationId === undefined || frame.conversationId === conversationId),
      `${name} of ${conversationId ?? "anything"}`
    )
  }

  /** Takes the event of that `seq` in a conversation. */
  seq(conversationId: string, seq: number): Effect.Effect<Frame> {
    return this.next(
      (frame) => frame.conversationId === conversationId && frame.seq === seq,
      `${seq} of ${conversationId}`
    )
  }

  /** The received seqs of a conversation, in order. */
  seqs(conversationId: string): ReadonlyArray<number> {
    return this.frames.flatMap((frame) =>
      frame.conversationId === conversationId && frame.seq !== undefined ? [frame.seq] : []
    )
  }

  /** Says hello and waits for its answer. */
  hello(token: string, rest: object = {}): Effect.Effect<Frame> {
    return this.command("hello", { token, ...rest })
  }

  /** Says hello and waits for the last `ready`: the answer and the frames up to it. */
  ready(token: string, rest: object = {}): Effect.Effect<ReadonlyArray<Frame>> {
    return Effect.gen({ self: this }, function* () {
      const answer = yield* this.hello(token, rest)
      if (answer.ok === undefined) return yield* Effect.die(new Error(JSON.stringify(answer.json)))
      yield* this.next((frame) => frame.event === "ready" && frame.data?.done === true, "the last ready")
      return [...this.frames]
    })
  }

  /** Waits for the end of the connection, and says how it ended. */
  get closed(): Effect.Effect<Closed> {
    return late(
      Effect.callback<Closed>((resume) => {
        const tell = () => {
          if (this.ended !== undefined) resume(Effect.succeed(this.ended))
        }
        if (this.ended !== undefined) return tell()
        this.onClose.push(tell)
        return Effect.sync(() => {
          this.onClose = this.onClose.filter((other) => other !== tell)
        })
      }),
      () => `not closed; the last frames are\n${brief(this.frames)}`
    )
  }

  /** Stops reading from the connection, until `resume`. */
  pause(): void {
    this.ws.pause()
  }

  resume(): void {
    this.ws.resume()
  }

  close(code = 1000): void {
    this.ws.close(code)
  }

  /** Ends the connection without a close frame. */
  terminate(): void {
    this.ws.terminate()
  }
}

/**
 * Connects to `/v1/ws` of a service at an `http:` URL, until the scope closes. Frames of the server must match
 * `/asyncapi.json`, unless `described` is false.
 */
export const connect = (
  url: string,
  options: ClientOptions & {
    readonly protocols?: ReadonlyArray<string>
    readonly path?: string
    readonly described?: boolean
  } = {}
) =>
  Effect.acquireRelease(
    late(
      Effect.callback<Client, Refused>((resume) => {
        const { described = true, path = "/v1/ws", protocols = [], ...rest } = options
        const ws = new WebSocket(url.replace(/^http/, "ws") + path, [...protocols], {
          perMessageDeflate: false,
          ...rest
        })
        let tcp: Socket | undefined
        const client = new Client(ws, () => tcp, described)
        ws.once("upgrade", (response) => {
          tcp = response.socket
        })
        ws.once("open", () => resume(Effect.succeed(client)))
        ws.once("error", (error) => resume(Effect.die(error)))
        ws.once("unexpected-response", (_request, response) => {
          let body = ""
          response.setEncoding("utf8")
          response.on("data", (chunk) => {
            body += String(chunk)
          })
          response.on("end", () =>
            resume(Effect.fail(new Refused({ status: response.statusCode ?? 0, headers: response.headers, body })))
          )
        })
      }),
      () => "no answer to the upgrade"
    ),
    (client) => Effect.sync(() => client.terminate())
  )

const Login = Schema.Struct({
  accessToken: Schema.String,
  refreshToken: Schema.String,
  sessionId: Schema.String,
  user: Person
})

const decodeLogin = Schema.decodeUnknownSync(Login)
const decodePerson = Schema.decodeUnknownSync(Person)
const decodeConversation = Schema.decodeUnknownSync(Conversation)
const decodeSent = Schema.decodeUnknownSync(Schema.Struct({ message: Message, duplicate: Schema.Boolean }))
const decodeHistory = Schema.decodeUnknownSync(
  Schema.Struct({ items: Schema.Array(Message), hasAfter: Schema.Boolean })
)

/** A user with an account, signed in. */
export interface Account {
  readonly id: string
  readonly username: string
  readonly password: string
  readonly token: string
  readonly refreshToken: string
  readonly sessionId: string
}

let people = 0

/** The HTTP API of a service, as far as tests of sockets need it. */
export const api = (url: string) => {
  const ask = (
    method: string,
    path: string,
    { actAs, json, token }: { json?: unknown; token?: string; actAs?: string } = {}
  ) =>
    Effect.promise(async (signal) => {
      const response = await fetch(url + path, {
        method,
        signal,
        headers: {
          ...(json !== undefined && { "content-type": "application/json" }),
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
          ...(actAs !== undefined && { "chat-act-as": actAs })
        },
        ...(json !== undefined && { body: JSON.stringify(json) })
      })
      const text = await response.text()
      const { headers, status } = response
      mustBeDescribed({ method, path, status, headers, text })
      const body: unknown = text === "" ? undefined : JSON.parse(text)
      return { status: response.status, headers: response.headers, body }
    })

  const must = (...args: Parameters<typeof ask>) =>
    Effect.flatMap(ask(...args), (answer) =>
      answer.status < 300
        ? Effect.succeed(answer.body)
        : Effect.die(new Error(`${args[0]} ${args[1]}: ${answer.status} ${JSON.stringify(answer.body)}`))
    )

  const openDm = (me: Account, peer: Account) =>
    Effect.map(
      must("POST", "/v1/conversations", { token: me.token, json: { kind: "dm", userId: peer.id } }),
      (body) => decodeConversation(body).id
    )

  const login = (username: string, password: string) =>
    Effect.map(must("POST", "/v1/auth/login", { json: { login: username, password } }), (body): Account => {
      const { accessToken, refreshToken, sessionId, user } = decodeLogin(body)
      return { id: user.id, username, password, token: accessToken, refreshToken, sessionId }
    })

  /** The account with the next pair of tokens. */
  const refresh = (account: Account) =>
    Effect.map(must("POST", "/v1/auth/refresh", { json: { refreshToken: account.refreshToken } }), (body): Account => {
      const { accessToken, refreshToken } = decodeLogin(body)
      return { ...account, token: accessToken, refreshToken }
    })

  return {
    ask,
    must,
    login,
    refresh,
    /** Makes an account, and signs in. */
    register: (name = "user") =>
      Effect.gen(function* () {
        const username = `${name}${process.pid}.${++people}`
        const password = "correct horse"
        const json = { username, password, displayName: name, email: `${username}@example.com` }
        decodePerson(yield* must("POST", "/v1/auth/register", { json }))
        return yield* login(username, password)
      }),
    /** The id of the DM that the first account opens; it shows to the other one with its first message. */
    openDm,
    /** The id of a DM that both accounts have opened, so that both have it in their lists. */
    dm: (me: Account, peer: Account) => Effect.andThen(openDm(me, peer), openDm(peer, me)),
    group: (me: Account, ...members: ReadonlyArray<Account>) =>
      Effect.map(
        must("POST", "/v1/conversations", {
          token: me.token,
          json: { kind: "group", title: "Group", memberIds: members.map(({ id }) => id) }
        }),
        (body) => decodeConversation(body).id
      ),
    post: (me: Account, conversationId: string, clientMessageId: string, body = clientMessageId) =>
      Effect.map(
        must("POST", `/v1/conversations/${conversationId}/messages`, {
          token: me.token,
          json: { clientMessageId, body }
        }),
        decodeSent
      ),
    /** All messages of a conversation, oldest first. */
    history: Effect.fnUntraced(function* (me: Account, conversationId: string) {
      const all: Array<Message> = []
      for (let more = true; more; ) {
        const path = `/v1/conversations/${conversationId}/messages?limit=200&after=${all.at(-1)?.seq ?? 0}`
        const page = decodeHistory(yield* must("GET", path, { token: me.token }))
        all.push(...page.items)
        more = page.hasAfter
      }
      return all
    })
  }
}
