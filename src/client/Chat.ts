import { Cause, Effect, Exit, Layer, ManagedRuntime, Schema, Stream } from "effect"
import { ClientMessageId, ConversationId, MessageId, UserId } from "../domain/Ids.ts"
import type { Ack } from "../domain/Message.ts"
import type { Login, Tokens } from "../domain/Session.ts"
import type { Me, Registration } from "../domain/User.ts"
import { Credentials, login, register } from "./Credentials.ts"
import { ConnectionLost } from "./Failures.ts"
import type { AnswerOf, OperationName, PayloadOf } from "./Operations.ts"
import { Realtime, type RealtimeOptions } from "./Realtime.ts"
import type { ChatEvent } from "./Session.ts"
import { type ChatState, emptyState } from "./State.ts"

export interface ChatOptions extends RealtimeOptions {
  /** What login gave, or `onRenewed` told last. */
  readonly tokens: Tokens
  /** Told each new pair before it is used: keep these in place of the old ones. */
  readonly onRenewed?: ((tokens: Tokens) => void | Promise<void>) | undefined
}

/** What is sent besides the text; an id of one's own makes a send safe to repeat after a restart. */
export interface SendOptions {
  readonly clientMessageId?: string
  readonly replyTo?: string
  readonly threadRoot?: string
  readonly attachments?: ReadonlyArray<string>
}

/** 128 random bits; `crypto.randomUUID` is only for pages over https. */
const randomId = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("")

const decodeId = Schema.decodeSync(ConversationId)
const decodeMessageId = Schema.decodeSync(MessageId)
const decodeUserId = Schema.decodeSync(UserId)
const decodeClientMessageId = Schema.decodeSync(ClientMessageId)

/**
 * The client for those who do not use Effect: promises, callbacks and async iterators over the same realtime client. What
 * goes wrong rejects with a problem (`error._tag`, `error.status`), `ConnectionLost` or `Refused`.
 */
export class Chat {
  /** The user's id. */
  readonly userId: UserId
  private readonly runtime: ManagedRuntime.ManagedRuntime<Realtime | Credentials, never>
  private readonly stops = new Set<() => void>()
  private latest: ChatState = emptyState

  /** Connects, and stays connected until `close`. */
  constructor({ onRenewed, tokens, ...options }: ChatOptions) {
    this.userId = tokens.user.id
    this.runtime = ManagedRuntime.make(
      Realtime.layer(options).pipe(Layer.provideMerge(Credentials.layer({ url: options.url, tokens, onRenewed })))
    )
    this.subscribe((state) => {
      this.latest = state
    })
  }

  /** A new account, which starts no session. */
  static register(url: string, registration: Registration): Promise<Me> {
    return Effect.runPromise(register(url, registration))
  }

  /** A new session: keep what this gives, and `onRenewed` tells, to stay signed in. */
  static login(url: string, credentials: Login): Promise<Tokens> {
    return Effect.runPromise(login(url, credentials))
  }

  private async run<A, E>(use: (realtime: Realtime["Service"]) => Effect.Effect<A, E>): Promise<A> {
    const exit = await this.runtime.runPromiseExit(Effect.flatMap(Realtime, use))
    if (Exit.isSuccess(exit)) return exit.value
    // What was under way when the client was closed.
    throw Cause.hasInterruptsOnly(exit.cause) ? new ConnectionLost({}) : Cause.squash(exit.cause)
  }

  /** The state as it is now. */
  get state(): ChatState {
    return this.latest
  }

  /** Calls back with the state as it is, then after each change. The answer ends it. */
  subscribe(listener: (state: ChatState) => void): () => void {
    const stop = this.runtime.runCallback(
      Effect.flatMap(Realtime, ({ changes }) =>
        Stream.runForEach(changes, (state) => Effect.sync(() => listener(state)))
      )
    )
    this.stops.add(stop)
    return () => {
      this.stops.delete(stop)
      stop()
    }
  }

  /** What happens from now on: each durable event once and in order, whatever the connection does. */
  async *events(): AsyncGenerator<ChatEvent, void> {
    const stream = await this.run(({ events }) => Effect.succeed(events))
    yield* Stream.toAsyncIterable(stream)
  }

  /** Resolves when the first connection has caught up. */
  async ready(): Promise<void> {
    await this.run(({ changes }) =>
      changes.pipe(
        Stream.filter(({ connection }) => connection.status === "online" || connection.status === "closed"),
        Stream.runHead
      )
    )
  }

  /** Resolves once the message is stored for good, after as many tries as that takes. */
  send(conversationId: string, body: string, options: SendOptions = {}): Promise<Ack> {
    const { attachments, clientMessageId, replyTo, threadRoot } = options
    return this.run(({ send }) =>
      send({
        conversationId: decodeId(conversationId),
        clientMessageId: decodeClientMessageId(clientMessageId ?? randomId()),
        body,
        ...(replyTo !== undefined && { replyTo: decodeMessageId(replyTo) }),
        ...(threadRoot !== undefined && { threadRoot: decodeMessageId(threadRoot) }),
        ...(attachments !== undefined && { attachments })
      })
    )
  }

  /** Forgets a message that failed. */
  discard(conversationId: string, clientMessageId: string): Promise<void> {
    return this.run(({ discard }) => discard(decodeId(conversationId), clientMessageId))
  }

  /** Holds the newest page of the conversation's history in the state from now on. */
  open(conversationId: string): Promise<void> {
    return this.run(({ open }) => open(decodeId(conversationId)))
  }

  /** Adds the page before the oldest message that is held. */
  loadOlder(conversationId: string): Promise<void> {
    return this.run(({ loadOlder }) => loadOlder(decodeId(conversationId)))
  }

  /** Marks as read up to `seq`, or all that is here. */
  async markRead(conversationId: string, seq?: number): Promise<void> {
    const id = decodeId(conversationId)
    const upTo = seq ?? this.latest.conversations.get(id)?.conversation.seq ?? 0
    await this.ask("read.mark", { conversationId, seq: upTo })
  }

  /** Says that the user is typing; say it again every few seconds. */
  async typing(conversationId: string): Promise<void> {
    await this.ask("typing.start", { conversationId })
  }

  /** Keeps the presence of these users in the state. */
  watch(userIds: ReadonlyArray<string>): Promise<void> {
    return this.run(({ watch }) => watch(userIds.map((id) => decodeUserId(id))))
  }

  /** Any operation by its name, as soon as there is a connection: `/asyncapi.json` has them all. */
  ask<Name extends OperationName>(op: Name, data: PayloadOf<Name>): Promise<AnswerOf<Name>> {
    return this.run((realtime) => realtime.ask(op, data))
  }

  /** Tries at once instead of after a pause: call it when the device is back online. */
  wake(): Promise<void> {
    return this.run(({ wake }) => wake)
  }

  /** Disconnects. What has not been sent stays in the outbox. */
  async close(): Promise<void> {
    for (const stop of this.stops) stop()
    await this.runtime.dispose()
  }
}
