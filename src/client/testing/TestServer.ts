import { Schema } from "effect"
import { excerptLength } from "../../domain/Message.ts"
import { Internal, Problem } from "../../domain/Problem.ts"
import { CloseCode } from "../../domain/Protocol.ts"
import { Chat } from "../Chat.ts"
import type { ChatOptions } from "../ChatOptions.ts"
import type { OpenSocket, SocketLike } from "../Connection.ts"
import type { OperationName } from "../Operations.ts"
import type { Tokens } from "../Plain.ts"
import { type Handler, type Handlers, makeAnswers } from "./Answers.ts"
import { TestConversations } from "./TestConversations.ts"

export { NotFound, RateLimited, Unavailable } from "../../domain/Problem.ts"
export type { Handler } from "./Answers.ts"

/** A socket of a client. */
interface Peer {
  userId: string | undefined
  readonly deliver: (frame: unknown) => void
  readonly close: (code: number) => void
}

/** What the events of a socket have, of which each kind uses its own part. */
interface SocketEvent {
  readonly code: number
  readonly data: unknown
}

const Command = Schema.Struct({ id: Schema.Int, op: Schema.String, data: Schema.Unknown })
const decodeCommand = Schema.decodeUnknownSync(Schema.fromJsonString(Command))
const decodeHello = Schema.decodeUnknownSync(
  Schema.Struct({
    token: Schema.String,
    cursors: Schema.optionalKey(Schema.Record(Schema.String, Schema.Int))
  })
)
const decodeSend = Schema.decodeUnknownSync(
  Schema.Struct({
    conversationId: Schema.String,
    clientMessageId: Schema.String,
    body: Schema.String,
    replyTo: Schema.optionalKey(Schema.NullOr(Schema.String)),
    threadRoot: Schema.optionalKey(Schema.NullOr(Schema.String))
  })
)
const decodeUsers = Schema.decodeUnknownSync(Schema.Struct({ userIds: Schema.Array(Schema.String) }))
const encodeProblem = Schema.encodeSync(Problem)

/** How long a client may be silent before it asks whether the server is there, in milliseconds. */
const heartbeatMs = 25_000

/**
 * A chat service of a few users in memory, for the tests of an app: no network, no other process, the same ids and times in
 * every run. It answers what `Chat` and the hooks ask for; `handle` adds the answers to other operations. It refuses
 * nothing that the real service would refuse, so test rules against `TestService` of the package of the service.
 */
export class TestServer {
  private readonly peers = new Set<Peer>()
  private readonly chats: Array<Chat> = []
  private readonly conversations = new TestConversations((conversation, frame, to) => {
    for (const peer of this.peers)
      if (peer.userId !== undefined && conversation.members.has(peer.userId) && (to?.has(peer.userId) ?? true))
        peer.deliver(frame)
  })
  private handlers: Handlers = makeAnswers(this.conversations)
  private isOffline = false

  /** A connected client of the user with that name, who is made when there is none. `close` closes it. */
  chat(username: string, options: Partial<Omit<ChatOptions, "token" | "tokens" | "openSocket" | "url">> = {}): Chat {
    const chat = new Chat({
      ...options,
      url: "http://chat.test",
      tokens: this.tokens(username),
      openSocket: this.openSocket
    })
    this.chats.push(chat)
    return chat
  }

  /** The tokens of the user with that name, for a `Chat` that the app makes by itself with `openSocket`. */
  tokens(username: string): Tokens {
    const user = this.conversations.person(username)
    return { accessToken: user.id, expiresIn: 3600, refreshToken: user.id, sessionId: user.id, user }
  }

  /** Makes a group of these users, the first of whom is its owner. Returns its id. */
  group(title: string, usernames: ReadonlyArray<string>): string {
    const [owner = "owner", ...others] = usernames.map((name) => this.conversations.person(name).id)
    return this.conversations.create(owner, "group", others, title).id
  }

  /** The direct conversation of two users. Returns its id. */
  direct(username: string, other: string): string {
    const [one, two] = [this.conversations.person(username), this.conversations.person(other)]
    return this.conversations.create(one.id, "dm", [two.id], null).id
  }

  /** Stores a message of a user, who need not have a client. Returns its id. */
  send(username: string, conversationId: string, body: string): string {
    const { id } = this.conversations.person(username)
    const clientMessageId = `test-${this.conversations.now()}`
    return this.conversations.send(this.conversations.get(id, conversationId), id, { clientMessageId, body }).id
  }

  /** Answers an operation in place of the server; a problem that the handler throws is the answer. */
  handle<Name extends OperationName>(op: Name, handler: Handler<Name>): void {
    this.handlers = { ...this.handlers, [op]: handler }
  }

  /** Cuts all connections, and lets clients connect only when it is over. */
  setOffline(offline: boolean): void {
    this.isOffline = offline
    if (offline) for (const peer of [...this.peers]) peer.close(1006)
    else for (const chat of this.chats) chat.wake().catch(() => {})
  }

  /** Closes all clients. */
  async close(): Promise<void> {
    await Promise.all(this.chats.map((chat) => chat.close()))
  }

  /** Opens a socket to this server. */
  readonly openSocket: OpenSocket = () => {
    const listeners: Array<readonly [string, (event: SocketEvent) => void]> = []
    const later = (act: () => void) => queueMicrotask(act)
    const emit = (type: string, { code = 0, data }: Partial<SocketEvent> = {}) =>
      later(() => {
        for (const [one, listener] of listeners) if (one === type) listener({ code, data })
      })
    const peer: Peer = {
      userId: undefined,
      deliver: (frame) => emit("message", { data: JSON.stringify(frame) }),
      close: (code) => {
        if (this.peers.delete(peer)) emit("close", { code })
      }
    }
    this.peers.add(peer)
    if (this.isOffline) peer.close(1006)
    else emit("open")
    const socket: SocketLike = {
      send: (text) => later(() => this.peers.has(peer) && this.receive(peer, text)),
      close: (code = 1000) => peer.close(code),
      addEventListener: (type: string, listener: (event: SocketEvent) => void) => {
        listeners.push([type, listener])
      }
    }
    return socket
  }

  private receive(peer: Peer, text: string): void {
    const { data, id, op } = decodeCommand(text)
    try {
      if (op === "hello") this.hello(peer, id, data)
      else peer.deliver({ id, ok: this.answer(peer.userId ?? "", op, data) ?? {} })
    } catch (error) {
      const isProblem = Schema.is(Problem)(error)
      peer.deliver({ id, error: encodeProblem(isProblem ? error : new Internal({ id: op, detail: String(error) })) })
    }
  }

  private hello(peer: Peer, id: number, data: unknown): void {
    const { cursors, token } = decodeHello(data)
    const user = this.conversations.people.get(token)
    if (user === undefined) {
      peer.close(CloseCode.unauthenticated)
      return
    }
    const ok = { connectionId: `${id}`, user, userSeq: this.conversations.userSeq, epoch: "test", heartbeatMs }
    peer.userId = token
    peer.deliver({ id, ok })
    const mine = [...this.conversations.all.values()].filter(({ members }) => members.has(token))
    if (cursors === undefined) {
      const conversations = mine.map((conversation) => this.conversations.seenBy(conversation, token))
      peer.deliver({ event: "ready", data: { conversations, done: true } })
      return
    }
    for (const conversation of mine) {
      const seen = cursors[conversation.id]
      if (seen !== undefined) for (const entry of conversation.log.slice(seen)) peer.deliver(entry())
      else {
        const data = { conversation: this.conversations.seenBy(conversation, token) }
        peer.deliver({ event: "conversation.added", conversationId: conversation.id, data })
      }
    }
    peer.deliver({ event: "ready", data: { resumed: true, done: true } })
  }

  private answer(userId: string, op: string, data: unknown): unknown {
    switch (op) {
      case "ping":
      case "auth.token":
      case "presence.set":
      case "presence.unsubscribe":
        return undefined
      case "presence.subscribe":
        return { items: decodeUsers(data).userIds.map((one) => this.presence(one)) }
      case "message.send": {
        const { conversationId, replyTo, threadRoot, ...sent } = decodeSend(data)
        const conversation = this.conversations.get(userId, conversationId)
        const original = replyTo == null ? null : this.conversations.message(conversation, replyTo)
        const { createdAt, id, seq } = this.conversations.send(conversation, userId, {
          ...sent,
          threadRootId: threadRoot ?? null,
          replyTo: original && {
            messageId: original.id,
            seq: original.seq,
            senderId: original.senderId,
            excerpt: [...original.body].slice(0, excerptLength).join(""),
            deleted: original.deletedAt !== null
          }
        })
        return { messageId: id, seq, createdAt, duplicate: false }
      }
      default:
        return this.handled(op, data, userId)
    }
  }

  private handled(op: string, data: unknown, userId: string): unknown {
    const handler: unknown = Reflect.get(this.handlers, op)
    if (typeof handler !== "function")
      throw new Internal({ id: op, detail: `TestServer has no answer to ${op}: give it one with handle` })
    return handler(data, userId)
  }

  private presence(userId: string) {
    const isHere = [...this.peers].some((peer) => peer.userId === userId)
    return { userId, status: isHere ? "online" : "offline", lastSeenAt: null }
  }
}
