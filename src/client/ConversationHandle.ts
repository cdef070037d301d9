import type { FileSource } from "./files/LocalFile.ts"
import type { AnswerOf, OperationName, PayloadOf } from "./Operations.ts"
import type {
  Ack,
  ChatState,
  ConversationState,
  EventName,
  EventOf,
  Message,
  MessagePage,
  NewPayload,
  Plain,
  ThreadState
} from "./Plain.ts"

/** What a message may have besides its body. With a `clientMessageId` of your own a send is safe to repeat after a restart. */
export interface SendOptions {
  readonly clientMessageId?: string
  /** The message that this one replies to. */
  readonly replyTo?: string
  /** The message in whose thread this one is. */
  readonly threadRoot?: string
  /**
   * Files, and the ids of uploaded ones. Files are kept with the message until the service has it, and are uploaded as soon
   * as there is a connection; `sending` says how far that is.
   */
  readonly attachments?: ReadonlyArray<string | FileSource>
  /**
   * Another type than `text`, with the payload that belongs to it: a poll, for example. A message with files is by itself an
   * `image`, a `video` or an `audio`, if all of them are, and else a `file`.
   */
  readonly type?: Message["type"]
  readonly payload?: NewPayload
}

/** A page of a list, and the cursor of the next page, which is absent on the last one. */
export interface Page<Item> {
  readonly items: ReadonlyArray<Item>
  readonly nextCursor?: string
}

/** Which part of a list is asked for. */
export interface PageOptions {
  readonly limit?: number
  readonly cursor?: string
}

/** The part of a history that is asked for: the newest page, or the one before, after or around a `seq`. */
export interface PlaceOptions {
  readonly limit?: number
  readonly before?: number
  readonly after?: number
  readonly around?: number
}

/** The part of `Chat` that a handle uses. */
export interface Calls {
  readonly state: ChatState
  ask<Name extends OperationName>(op: Name, data: PayloadOf<Name>): Promise<Plain<AnswerOf<Name>>>
  send(conversationId: string, body: string, options?: SendOptions): Promise<Ack>
  retry(conversationId: string, clientMessageId: string): Promise<Ack>
  discard(conversationId: string, clientMessageId: string): Promise<void>
  open(conversationId: string): Promise<void>
  loadOlder(conversationId: string): Promise<void>
  openThread(conversationId: string, messageId: string): Promise<void>
  loadOlderReplies(conversationId: string, messageId: string): Promise<void>
  markRead(conversationId: string, seq?: number): Promise<void>
  on<Name extends EventName>(name: Name, listener: (event: EventOf<Name>) => void): () => void
}

/** A thread: the replies to one message. */
export class ThreadHandle {
  /** The message that the replies belong to. */
  readonly messageId: string
  private readonly conversation: ConversationHandle
  private readonly calls: Calls

  constructor(calls: Calls, conversation: ConversationHandle, messageId: string) {
    this.calls = calls
    this.conversation = conversation
    this.messageId = messageId
  }

  /** The thread in the current state; undefined until it was opened. */
  get state(): ThreadState | undefined {
    return this.conversation.state?.threads.get(this.messageId)
  }

  /** From now on the state has the newest page of the replies. Repeating it does nothing. */
  open(): Promise<void> {
    return this.calls.openThread(this.conversation.id, this.messageId)
  }

  /** Adds the page before the oldest reply in the state; does nothing when there is none. */
  loadOlder(): Promise<void> {
    return this.calls.loadOlderReplies(this.conversation.id, this.messageId)
  }

  /** Returns the root and a page of the replies, the newest one by default, without adding it to the state. */
  list(place: PlaceOptions = {}): Promise<Plain<AnswerOf<"thread.list">>> {
    return this.calls.ask("thread.list", {
      conversationId: this.conversation.id,
      messageId: this.messageId,
      ...place
    })
  }

  /** Sends a reply into the thread, as `ConversationHandle.send` does. */
  send(body: string, options: SendOptions = {}): Promise<Ack> {
    return this.conversation.send(body, { ...options, threadRoot: this.messageId })
  }

  /** Marks the replies up to `seq` as read. */
  async markRead(seq: number): Promise<void> {
    await this.calls.ask("thread.mark", { conversationId: this.conversation.id, messageId: this.messageId, seq })
  }
}

/** One conversation: what a user does in it, as methods. `chat.conversation(id)` always returns the same handle. */
export class ConversationHandle {
  /** The id of the conversation. */
  readonly id: string
  private readonly calls: Calls

  constructor(calls: Calls, id: string) {
    this.calls = calls
    this.id = id
  }

  private about(messageId: string) {
    return { conversationId: this.id, messageId }
  }

  /** The conversation in the current state; undefined when the user is not a member, or it has not arrived yet. */
  get state(): ConversationState | undefined {
    return this.calls.state.conversations.get(this.id)
  }

  /** From now on the state has the newest page of the history. Repeating it does nothing. */
  open(): Promise<void> {
    return this.calls.open(this.id)
  }

  /** Adds the page before the oldest message in the state; does nothing when there is none. */
  loadOlder(): Promise<void> {
    return this.calls.loadOlder(this.id)
  }

  /** Returns a page of the history without adding it to the state, for example around a message that was found. */
  list(place: PlaceOptions = {}): Promise<MessagePage> {
    return this.calls.ask("message.list", { conversationId: this.id, ...place })
  }

  /** Resolves once the service has stored the message, after as many attempts as that takes. */
  send(body: string, options?: SendOptions): Promise<Ack> {
    return this.calls.send(this.id, body, options)
  }

  /** Sends a reply to a message, as `send` does. */
  reply(messageId: string, body: string, options: SendOptions = {}): Promise<Ack> {
    return this.send(body, { ...options, replyTo: messageId })
  }

  /** The thread of a message. */
  thread(messageId: string): ThreadHandle {
    return new ThreadHandle(this.calls, this, messageId)
  }

  /**
   * Sends a message that failed again, under the same `clientMessageId` and before those written after it. Resolves as
   * `send` does; rejects with `NotFound` for an unknown message.
   */
  retry(clientMessageId: string): Promise<Ack> {
    return this.calls.retry(this.id, clientMessageId)
  }

  /** Forgets a message that failed or was not sent yet, and ends its upload. Repeating it does nothing. */
  discard(clientMessageId: string): Promise<void> {
    return this.calls.discard(this.id, clientMessageId)
  }

  /** Replaces the body of my message. */
  edit(messageId: string, body: string): Promise<Message> {
    return this.calls.ask("message.edit", { ...this.about(messageId), body })
  }

  /** Deletes a message for everybody. */
  async delete(messageId: string): Promise<void> {
    await this.calls.ask("message.delete", this.about(messageId))
  }

  /** Hides a message for me alone. */
  async hide(messageId: string): Promise<void> {
    await this.calls.ask("message.hide", this.about(messageId))
  }

  /** Reacts to a message with an emoji. Repeating it changes nothing. */
  async react(messageId: string, emoji: string): Promise<void> {
    await this.calls.ask("reaction.add", { ...this.about(messageId), emoji })
  }

  /** Takes a reaction back. Repeating it changes nothing. */
  async unreact(messageId: string, emoji: string): Promise<void> {
    await this.calls.ask("reaction.remove", { ...this.about(messageId), emoji })
  }

  /** Pins a message for everybody. */
  async pin(messageId: string): Promise<void> {
    await this.calls.ask("message.pin", this.about(messageId))
  }

  /** Unpins a message. */
  async unpin(messageId: string): Promise<void> {
    await this.calls.ask("message.unpin", this.about(messageId))
  }

  /** Lists the pinned messages, the last one pinned first. */
  pins(options: PageOptions = {}): Promise<Page<Message>> {
    return this.calls.ask("pin.list", { conversationId: this.id, ...options })
  }

  /** Saves a message for me alone. */
  async star(messageId: string): Promise<void> {
    await this.calls.ask("message.star", this.about(messageId))
  }

  /** Removes a message from those that I have saved. */
  async unstar(messageId: string): Promise<void> {
    await this.calls.ask("message.unstar", this.about(messageId))
  }

  /** Chooses options of a poll, by their index; without any, takes the vote back. */
  async vote(messageId: string, options: ReadonlyArray<number>): Promise<void> {
    if (options.length === 0) await this.calls.ask("message.unvote", this.about(messageId))
    else await this.calls.ask("message.vote", { ...this.about(messageId), options })
  }

  /** Finds messages of this conversation that have all words of the query. */
  search(query: string, options: PageOptions = {}): Promise<Page<Message>> {
    return this.calls.ask("message.search", { conversationId: this.id, query, ...options })
  }

  /** Marks the conversation as read up to `seq`, or up to its last event in the state. */
  markRead(seq?: number): Promise<void> {
    return this.calls.markRead(this.id, seq)
  }

  /** Shows others that the user is typing. Repeat it every few seconds while the user types; `false` ends it. */
  async typing(isTyping = true): Promise<void> {
    await this.calls.ask(isTyping ? "typing.start" : "typing.stop", { conversationId: this.id })
  }

  /** Keeps what the user has begun to write, for all of their devices. An empty text clears it. */
  async saveDraft(body: string): Promise<void> {
    if (body.trim() === "") await this.calls.ask("draft.clear", { conversationId: this.id })
    else await this.calls.ask("draft.set", { conversationId: this.id, body })
  }

  /** Calls `listener` for each event of that name in this conversation, until the returned function is called. */
  on<Name extends EventName>(name: Name, listener: (event: EventOf<Name>) => void): () => void {
    return this.calls.on(name, (event) => {
      if (event.conversationId === this.id) listener(event)
    })
  }
}
