import { Deferred, Effect, FiberMap, Random, Schema } from "effect"
import type { ConversationId } from "../domain/Ids.ts"
import { Ack, type Message } from "../domain/Message.ts"
import { NotFound, type Problem } from "../domain/Problem.ts"
import type { ConnectionLost, Refused } from "./Failures.ts"
import type { PendingMessage, Sending } from "./state/State.ts"
import { stored } from "./storage/Database.ts"

/**
 * Where messages are kept until they are acknowledged, in the order of `put`. A storage that outlives the process, such
 * as IndexedDB or a file, loses no message that was written while there was no connection.
 */
export interface OutboxStorage {
  /** Reads all kept messages, the first one put first. */
  readonly load: () => Promise<ReadonlyArray<PendingMessage>>
  /** Keeps a message, once for its conversation and `clientMessageId`. Repeating it is safe. */
  readonly put: (message: PendingMessage) => Promise<void>
  /** Drops a message. Repeating it does nothing. */
  readonly remove: (message: PendingMessage) => Promise<void>
}

/** Stores nothing: messages are lost with the process. */
export const noStorage: OutboxStorage = {
  load: () => Promise.resolve([]),
  put: () => Promise.resolve(),
  remove: () => Promise.resolve()
}

/** Why a message was not stored: the service has refused it, or refuses this client. */
export type SendError = Problem | Refused

interface Entry {
  sending: Sending
  /** The `seq` of an acknowledged message. */
  seq: number | undefined
  acknowledged: Deferred.Deferred<Ack, SendError>
}

const decodeAck = Schema.decodeUnknownEffect(Ack)

const keyOf = (conversationId: string, clientMessageId: string) => `${conversationId} ${clientMessageId}`

/** A random pause in milliseconds that grows with each attempt: exponential back-off with full jitter, at most 30 s. */
export const jitter = (attempt: number) =>
  Effect.map(Random.next, (part) => Math.round(part * Math.min(30_000, 1000 * 2 ** attempt)))

type Command = (op: string, data: unknown) => Effect.Effect<unknown, Problem | ConnectionLost | Refused>

/** Makes a function that sends one message until the service stores or refuses it. */
const makeAttempt = (command: Command) => {
  const attempt = (message: PendingMessage, tries: number): Effect.Effect<Ack, SendError> => {
    const { senderId: _, ...data } = message
    return command("message.send", data).pipe(
      Effect.flatMap((ok) => Effect.orDie(decodeAck(ok))),
      Effect.catchTags({
        RateLimited: ({ retryAfterMs }) => Effect.delay(attempt(message, tries), retryAfterMs),
        // The message may or may not have been stored.
        ConnectionLost: () => again(message, tries),
        Internal: () => again(message, tries),
        Unavailable: () => again(message, tries)
      })
    )
  }
  const again = (message: PendingMessage, tries: number) =>
    Effect.flatMap(jitter(tries), (pause) => Effect.delay(attempt(message, tries + 1), pause))
  return (message: PendingMessage) => attempt(message, 0)
}

/**
 * Makes a function that sends the waiting messages of a conversation, one at a time. Calling it meanwhile does
 * nothing.
 */
const makeWorkers = Effect.fnUntraced(function* (
  entries: ReadonlyMap<string, Entry>,
  storage: OutboxStorage,
  command: Command,
  changed: Effect.Effect<void>
) {
  const workers = yield* FiberMap.make<ConversationId>()
  const attempt = makeAttempt(command)

  const acknowledge = (entry: Entry, ack: Ack) =>
    Effect.gen(function* () {
      entry.seq = ack.seq
      entry.sending = { ...entry.sending, status: "sent" }
      yield* stored(() => storage.remove(entry.sending.message), undefined)
      yield* Deferred.succeed(entry.acknowledged, ack)
      yield* changed
    })

  const refuse = (entry: Entry, error: SendError) =>
    Effect.gen(function* () {
      // When the session ends, the message is not refused: the next session sends it.
      if (error._tag !== "Refused") {
        entry.sending = { ...entry.sending, status: "failed", problem: error }
        yield* stored(() => storage.remove(entry.sending.message), undefined)
      }
      yield* Deferred.fail(entry.acknowledged, error)
      yield* changed
      return error._tag
    })

  const work = (conversationId: ConversationId): Effect.Effect<void> =>
    Effect.suspend(() => {
      const next = [...entries.values()].find(
        ({ sending }) => sending.status === "waiting" && sending.message.conversationId === conversationId
      )
      if (next === undefined) return Effect.void
      return Effect.raceFirst(attempt(next.sending.message), Deferred.await(next.acknowledged)).pipe(
        Effect.flatMap((ack) => acknowledge(next, ack)),
        Effect.catch((error) => refuse(next, error)),
        Effect.flatMap((outcome) => (outcome === "Refused" ? Effect.void : work(conversationId)))
      )
    })

  return (conversationId: ConversationId) =>
    FiberMap.run(workers, conversationId, work(conversationId), { onlyIfMissing: true })
})

/** Makes the entries: the messages that are not settled yet, in the order in which they are sent. */
const makeEntries = (storage: OutboxStorage) => {
  const entries = new Map<string, Entry>()
  return {
    entries,
    get: (conversationId: string, clientMessageId: string) => entries.get(keyOf(conversationId, clientMessageId)),
    add: (message: PendingMessage) => {
      const entry: Entry = {
        sending: { message, status: "waiting", problem: null },
        seq: undefined,
        acknowledged: Deferred.makeUnsafe()
      }
      entries.set(keyOf(message.conversationId, message.clientMessageId), entry)
      return entry
    },
    remove: ({ sending: { message } }: Entry) =>
      stored(() => storage.remove(message), undefined).pipe(
        Effect.andThen(Effect.sync(() => entries.delete(keyOf(message.conversationId, message.clientMessageId))))
      ),
    /** Drops acknowledged messages that arrived with a fetch, not as an event. */
    settle: (headOf: (id: ConversationId) => number | undefined) => {
      for (const [key, { seq, sending }] of entries) {
        const head = headOf(sending.message.conversationId)
        if (seq !== undefined && head !== undefined && seq <= head) entries.delete(key)
      }
    }
  }
}

/**
 * Sends each message until it is acknowledged, in order and one at a time in a conversation, always under the same
 * `clientMessageId`, so that trying again never doubles it. `command` waits for a connection; `changed` is run after
 * each change of `sending`.
 */
export const makeOutbox = Effect.fnUntraced(function* (
  storage: OutboxStorage,
  command: Command,
  changed: Effect.Effect<void>
) {
  const { add, entries, get, remove, settle } = makeEntries(storage)
  const start = yield* makeWorkers(entries, storage, command, changed)

  const send = (message: PendingMessage): Effect.Effect<Ack, SendError> =>
    Effect.gen(function* () {
      const known = get(message.conversationId, message.clientMessageId)
      // A new entry under a known key keeps its position, so that a message that failed goes out in order.
      const entry = known?.sending.status === "waiting" ? known : add(message)
      yield* stored(() => storage.put(message), undefined)
      yield* changed
      yield* start(message.conversationId)
      return yield* Deferred.await(entry.acknowledged)
    })

  return {
    get sending(): ReadonlyArray<Sending> {
      return [...entries.values()].map(({ sending }) => sending)
    },

    /** Sends the messages that an earlier process of the same user left in the storage. */
    restore: (senderId: string) =>
      Effect.gen(function* () {
        const kept = yield* stored(() => storage.load(), [])
        for (const message of kept) {
          if (message.senderId !== senderId) continue
          add(message)
          yield* start(message.conversationId)
        }
        yield* changed
      }),

    /** Succeeds once the message is stored by the service. Repeating it with the same `clientMessageId` is safe. */
    send,

    /**
     * Sends a message that failed again, under the same `clientMessageId` and before those that were written after it.
     * For a message that has not failed it only waits, as `send` does. Fails with `NotFound` for an unknown message.
     */
    retry: (conversationId: ConversationId, clientMessageId: string): Effect.Effect<Ack, SendError> =>
      Effect.suspend(() => {
        const entry = get(conversationId, clientMessageId)
        if (entry === undefined) return Effect.fail(new NotFound({}))
        return entry.sending.status === "failed" ? send(entry.sending.message) : Deferred.await(entry.acknowledged)
      }),

    /** Forgets a message that failed or has not been sent yet. Repeating it does nothing. */
    discard: (conversationId: ConversationId, clientMessageId: string) =>
      Effect.suspend(() => {
        const entry = get(conversationId, clientMessageId)
        return entry === undefined ? Effect.void : Effect.andThen(remove(entry), changed)
      }),

    /** Receives the event of the user's own message, which acknowledges the message too. */
    seen: ({ clientMessageId, conversationId, createdAt, id, seq }: Message) =>
      Effect.suspend(() => {
        const entry = get(conversationId, clientMessageId)
        if (entry === undefined) return Effect.void
        Deferred.doneUnsafe(entry.acknowledged, Effect.succeed({ messageId: id, seq, createdAt, duplicate: false }))
        return remove(entry)
      }),

    settle,

    /** Fails all messages of a conversation that the user has left, and forgets them. */
    left: (conversationId: ConversationId) =>
      Effect.forEach(
        [...entries.values()].filter(({ sending }) => sending.message.conversationId === conversationId),
        (entry) => Effect.andThen(remove(entry), Deferred.fail(entry.acknowledged, new NotFound({}))),
        { discard: true }
      )
  }
})
