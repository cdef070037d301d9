import { Cause, Context, Effect, Exit, Layer, ManagedRuntime, Option, References, Schema, Stream } from "effect"
import { ClientMessageId, ConversationId, MessageId, UserId } from "../domain/Ids.ts"
import type { Login } from "../domain/Session.ts"
import type { GuestClaim, Registration } from "../domain/User.ts"
import { type ChatOptions, credentialsOf } from "./ChatOptions.ts"
import { ConversationHandle, type SendOptions } from "./ConversationHandle.ts"
import { Credentials, joinAsGuest, login, register } from "./Credentials.ts"
import { ConnectionLost, type Refused } from "./Failures.ts"
import { type FileSource, pendingFile, readFile, type StreamSource, type UploadProgress } from "./files/LocalFile.ts"
import { makeUploader } from "./files/Uploads.ts"
import { Listeners } from "./Listeners.ts"
import type { AnswerOf, OperationName, PayloadOf } from "./Operations.ts"
import type { Ack, Attachment, ChatEvent, ChatState, EventName, EventOf, Me, Plain, Tokens } from "./Plain.ts"
import { randomId } from "./Platform.ts"
import { Realtime } from "./Realtime.ts"
import { erase } from "./storage/Database.ts"
import { canShare } from "./tabs/Leadership.ts"
import { sharedRealtime } from "./tabs/Tabs.ts"

/** The options of `Chat.upload`. */
export interface UploadOptions {
  /** Is called with how much was sent so far, as often as the platform tells. */
  readonly onProgress?: (progress: UploadProgress) => void
  /** Ends the upload, which then rejects with the reason of the signal. */
  readonly signal?: AbortSignal
}

const decodeId = Schema.decodeSync(ConversationId)
const decodeMessageId = Schema.decodeSync(MessageId)
const decodeUserId = Schema.decodeSync(UserId)
const decodeClientMessageId = Schema.decodeSync(ClientMessageId)

/**
 * The client for apps without Effect: promises, callbacks and async iterators over the same realtime client. All ids are
 * plain strings. Promises reject with a problem (`error._tag`, `error.status`), `ConnectionLost` or `Refused`.
 */
export class Chat {
  private readonly runtime: ManagedRuntime.ManagedRuntime<Realtime | Credentials, Refused>
  private readonly listeners = new Listeners()
  private readonly handles = new Map<string, ConversationHandle>()
  private readonly stop: () => void
  private readonly erase: () => Promise<void>
  private readonly url: string
  private user: string

  /** Connects, and stays connected until `close`. */
  constructor(options: ChatOptions) {
    this.user = options.tokens?.user.id ?? ""
    this.url = options.url
    const { database, debug } = options
    const realtime =
      database !== undefined && canShare() ? sharedRealtime({ ...options, database }) : Realtime.layer(options)
    const credentials = Layer.tap(credentialsOf(options), (context) =>
      Effect.sync(() => {
        this.user = Context.get(context, Credentials).userId
      })
    )
    const layer = Layer.provideMerge(realtime, credentials)
    this.erase = async () => database && erase(database, this.user)
    this.runtime = ManagedRuntime.make(
      debug === true ? Layer.provideMerge(layer, Layer.succeed(References.MinimumLogLevel, "Debug")) : layer
    )
    this.stop = this.runtime.runCallback(this.listeners.follow, {
      onExit: (exit) => {
        const why = Option.getOrUndefined(Exit.findErrorOption(exit))
        if (why !== undefined) this.listeners.closed(why)
      }
    })
  }

  /** The user's id. With `token` it is empty until the client knows who the user is, which it does when it is `ready`. */
  get userId(): string {
    return this.user
  }

  /**
   * Creates an account. It starts no session. Rejects with a problem, whose `errors` name the invalid fields, or with
   * `ConnectionLost` when there was no answer of the service.
   */
  static register(url: string, registration: typeof Registration.Encoded): Promise<Me> {
    return Effect.runPromise(register(url, registration))
  }

  /**
   * Starts a session. Keep the tokens, and those given to `onRenewed` later, to stay signed in. Rejects as `register`
   * does.
   */
  static login(url: string, credentials: typeof Login.Encoded): Promise<Tokens> {
    return Effect.runPromise(login(url, credentials))
  }

  /**
   * Joins the group of an invite without an account, and starts the session of the guest, which is the only way back in.
   * Rejects as `register` does, and with `NotFound` when the invite admits no guests.
   */
  static joinAsGuest(url: string, guest: { readonly code: string; readonly displayName: string }): Promise<Tokens> {
    return Effect.runPromise(joinAsGuest(url, guest))
  }

  private run<A, E>(use: (realtime: Realtime["Service"]) => Effect.Effect<A, E>): Promise<A> {
    return this.outcome(Effect.flatMap(Realtime, use))
  }

  private async outcome<A, E>(effect: Effect.Effect<A, E, Realtime | Credentials>, signal?: AbortSignal): Promise<A> {
    const exit = await this.runtime.runPromiseExit(effect, signal && { signal })
    if (Exit.isSuccess(exit)) return exit.value
    signal?.throwIfAborted()
    // The client was closed before there was an answer.
    throw Cause.hasInterruptsOnly(exit.cause) ? new ConnectionLost({}) : Cause.squash(exit.cause)
  }

  /** The current state. */
  get state(): ChatState {
    return this.listeners.state
  }

  /** One conversation, with methods for what a user does in it. The same id always gives the same handle. */
  conversation(id: string): ConversationHandle {
    const handle = this.handles.get(id) ?? new ConversationHandle(this, id)
    this.handles.set(id, handle)
    return handle
  }

  /** Calls `listener` soon with the current state, and after each change, until the returned function is called. */
  subscribe(listener: (state: ChatState) => void): () => void {
    return this.listeners.subscribe(listener)
  }

  /**
   * Calls `listener` for each event of that name, such as `message.created`, until the returned function is called. The
   * state includes the event.
   */
  on<Name extends EventName>(name: Name, listener: (event: EventOf<Name>) => void): () => void {
    return this.listeners.on(name, listener)
  }

  /** The events from now on: each durable event once and in order, however often the connection is lost. */
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

  /** Resolves once the service has stored the message, after as many attempts as that takes. */
  send(conversationId: string, body: string, options: SendOptions = {}): Promise<Ack> {
    const { attachments, clientMessageId, replyTo, threadRoot, ...others } = options
    return this.run(({ send }) =>
      send({
        conversationId: decodeId(conversationId),
        clientMessageId: decodeClientMessageId(clientMessageId ?? randomId()),
        body,
        ...(replyTo !== undefined && { replyTo: decodeMessageId(replyTo) }),
        ...(threadRoot !== undefined && { threadRoot: decodeMessageId(threadRoot) }),
        ...(attachments !== undefined && {
          attachments: attachments.map((one) => (typeof one === "string" ? one : pendingFile(one)))
        }),
        ...others
      })
    )
  }

  /**
   * Uploads a file, to be sent by its id within a day. A file that is given to `send` instead is kept with its message when
   * there is no connection. A large file is uploaded in parts, and goes on after a lost connection. Rejects with a problem,
   * such as `TooLarge`, or with `ConnectionLost`; then the service may or may not have the file.
   */
  async upload(source: FileSource | StreamSource, { onProgress, signal }: UploadOptions = {}): Promise<Attachment> {
    const file = await readFile(source)
    const { size } = file.content
    const onSent = (sent: number) => onProgress?.({ sent, size })
    return this.outcome(
      Effect.flatMap(Credentials, (credentials) => {
        const { end, upload } = makeUploader(this.url, credentials)
        let begun: string | undefined
        const onBegun = (path: string) =>
          Effect.sync(() => {
            begun = path
          })
        // Nobody knows of it any more.
        const forget = Effect.suspend(() => (begun === undefined ? Effect.void : end(begun)))
        return Effect.onError(upload(file, { onSent, onBegun }), () => Effect.asVoid(Effect.forkDetach(forget)))
      }),
      signal
    )
  }

  /**
   * Sends a message that failed again, under the same `clientMessageId` and before those written after it. Resolves as
   * `send` does; rejects with `NotFound` for an unknown message.
   */
  retry(conversationId: string, clientMessageId: string): Promise<Ack> {
    return this.run(({ retry }) => retry(decodeId(conversationId), clientMessageId))
  }

  /** Forgets a message that failed or was not sent yet, and ends its upload. Repeating it does nothing. */
  discard(conversationId: string, clientMessageId: string): Promise<void> {
    return this.run(({ discard }) => discard(decodeId(conversationId), clientMessageId))
  }

  /** From now on the state has the newest page of the conversation's history. Repeating it does nothing. */
  open(conversationId: string): Promise<void> {
    return this.run(({ open }) => open(decodeId(conversationId)))
  }

  /** Adds the page before the oldest message in the state; does nothing when there is none. */
  loadOlder(conversationId: string): Promise<void> {
    return this.run(({ loadOlder }) => loadOlder(decodeId(conversationId)))
  }

  /** From now on the state has the newest page of the thread of that message. Repeating it does nothing. */
  openThread(conversationId: string, messageId: string): Promise<void> {
    return this.run(({ openThread }) => openThread(decodeId(conversationId), decodeMessageId(messageId)))
  }

  /** Adds the page before the oldest reply in the state; does nothing when there is none. */
  loadOlderReplies(conversationId: string, messageId: string): Promise<void> {
    return this.run(({ loadOlderReplies }) => loadOlderReplies(decodeId(conversationId), decodeMessageId(messageId)))
  }

  /** Marks the conversation as read up to `seq`, or up to its last event in the state. */
  async markRead(conversationId: string, seq?: number): Promise<void> {
    const id = decodeId(conversationId)
    const upTo = seq ?? this.state.conversations.get(id)?.conversation.seq ?? 0
    await this.ask("read.mark", { conversationId, seq: upTo })
  }

  /** Shows others that the user is typing. Repeat it every few seconds while the user types. */
  async typing(conversationId: string): Promise<void> {
    await this.ask("typing.start", { conversationId })
  }

  /** Keeps the presence of these users in the state. */
  watch(userIds: ReadonlyArray<string>): Promise<void> {
    return this.run(({ watch }) => watch(userIds.map((id) => decodeUserId(id))))
  }

  /**
   * Makes an account of the guest who is signed in, who keeps everything. Rejects with a problem, such as `Conflict` for a
   * username that is taken.
   */
  claim(account: typeof GuestClaim.Encoded): Promise<Me> {
    return this.ask("user.claim", account)
  }

  /** Asks for an operation by its name, as soon as there is a connection. `/asyncapi.json` lists all of them. */
  ask<Name extends OperationName>(op: Name, data: PayloadOf<Name>): Promise<Plain<AnswerOf<Name>>>
  ask<Name extends OperationName>(op: Name, data: PayloadOf<Name>): Promise<unknown> {
    return this.run((realtime) => realtime.ask(op, data))
  }

  /**
   * Ends the pause before the next attempt to connect, unless the service asked for it. A browser says by itself that the
   * device is back online or the page is visible again; elsewhere, as in React Native, call it then.
   */
  wake(): Promise<void> {
    return this.run(({ wake }) => wake)
  }

  /** Disconnects. Messages that have not been sent stay in the outbox. Repeating it does nothing. */
  async close(): Promise<void> {
    this.stop()
    await this.runtime.dispose()
    this.listeners.closed()
  }

  /** Disconnects, and removes from the database what it has of this user: call it when the user signs out. */
  async forget(): Promise<void> {
    await this.close()
    await this.erase()
  }
}
