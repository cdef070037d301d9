import { Deferred, Effect, FiberMap, Random, Schema } from "effect"
import type { ConversationId } from "../domain/Ids.ts"
import { Ack, type Message } from "../domain/Message.ts"
import { NotFound, type Problem } from "../domain/Problem.ts"
import type { ConnectionLost, Refused } from "./Failures.ts"
import type { PendingMessage, Sending } from "./State.ts"

/**
 * Where messages are kept until they are acknowledged, in the order in which they were put. One that outlives the
 * process, such as IndexedDB or a file, loses no message that was written while there was no connection.
 */
export interface OutboxStorage {
  readonly load: () => Promise<ReadonlyArray<PendingMessage>>
  readonly put: (message: PendingMessage) => Promise<void>
  readonly remove: (message: PendingMessage) => Promise<void>
}

/** Kept for as long as the process lives: nowhere but in the client itself. */
export const noStorage: OutboxStorage = {
  load: () => Promise.resolve([]),
  put: () => Promise.resolve(),
  remove: () => Promise.resolve()
}

export type SendError = Problem | Refused

interface Entry {
  sending: Sending
  /** The seq of the acknowledged message. */
  seq: number | undefined
  acknowledged: Deferred.Deferred<Ack, SendError>
}

const decodeAck = Schema.decodeUnknownEffect(Ack)

const keyOf = (conversationId: string, clientMessageId: string) => `${conversationId} ${clientMessageId}`

/** An exponential pause with full jitter. */
export const jitter = (attempt: number) =>
  Effect.map(Random.next, (part) => Math.round(part * Math.min(30_000, 1000 * 2 ** attempt)))

/**
 * Sends each message until it is acknowledged, in order and one at a time in a conversation, always under the same
 * `clientMessageId`, so that trying again never doubles it. `command` waits for a connection; `changed` tells that
 * `sending` has changed.
 */
export const makeOutbox = Effect.fnUntraced(function* (
  storage: OutboxStorage,
  command: (op: string, data: unknown) => Effect.Effect<unknown, Problem | ConnectionLost | Refused>,
  changed: Effect.Effect<void>
) {
  const entries = new Map<string, Entry>()
  const workers = yield* FiberMap.make<ConversationId>()

  const add = (message: PendingMessage) => {
    const entry: Entry = {
      sending: { message, status: "waiting", problem: null },
      seq: undefined,
      acknowledged: Deferred.makeUnsafe()
    }
    entries.set(keyOf(message.conversationId, message.clientMessageId), entry)
    return entry
  }

  const remove = ({ sending: { message } }: Entry) =>
    Effect.promise(() => storage.remove(message)).pipe(
      Effect.andThen(Effect.sync(() => entries.delete(keyOf(message.conversationId, message.clientMessageId))))
    )

  const attempt = (message: PendingMessage, tries: number): Effect.Effect<Ack, SendError> => {
    const { senderId: _, ...data } = message
    return command("message.send", data).pipe(
      Effect.flatMap((ok) => Effect.orDie(decodeAck(ok))),
      Effect.catchTags({
        RateLimited: ({ retryAfterMs }) => Effect.delay(attempt(message, tries), retryAfterMs),
        // Whether it was stored is not known.
        ConnectionLost: () => again(message, tries),
        Internal: () => again(message, tries),
        Unavailable: () => again(message, tries)
      })
    )
  }

  const again = (message: PendingMessage, tries: number) =>
    Effect.flatMap(jitter(tries), (pause) => Effect.delay(attempt(message, tries + 1), pause))

  const acknowledge = (entry: Entry, ack: Ack) =>
    Effect.gen(function* () {
      entry.seq = ack.seq
      entry.sending = { ...entry.sending, status: "sent" }
      yield* Effect.promise(() => storage.remove(entry.sending.message))
      yield* Deferred.succeed(entry.acknowledged, ack)
      yield* changed
    })

  const refuse = (entry: Entry, error: SendError) =>
    Effect.gen(function* () {
      // A session that has ended says nothing about the message: the next one sends it.
      if (error._tag !== "Refused") {
        entry.sending = { ...entry.sending, status: "failed", problem: error }
        yield* Effect.promise(() => storage.remove(entry.sending.message))
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
      return Effect.raceFirst(attempt(next.sending.message, 0), Deferred.await(next.acknowledged)).pipe(
        Effect.flatMap((ack) => acknowledge(next, ack)),
        Effect.catch((error) => refuse(next, error)),
        Effect.flatMap((outcome) => (outcome === "Refused" ? Effect.void : work(conversationId)))
      )
    })

  const start = (conversationId: ConversationId) =>
    FiberMap.run(workers, conversationId, work(conversationId), { onlyIfMissing: true })

  return {
    get sending(): ReadonlyArray<Sending> {
      return [...entries.values()].map(({ sending }) => sending)
    },

    /** Takes up what an earlier process of the same user has left. */
    restore: (senderId: string) =>
      Effect.gen(function* () {
        const kept = yield* Effect.promise(() => storage.load())
        for (const message of kept) {
          if (message.senderId !== senderId) continue
          add(message)
          yield* start(message.conversationId)
        }
      }),

    /** Succeeds once it is stored for good. */
    send: (message: PendingMessage): Effect.Effect<Ack, SendError> =>
      Effect.gen(function* () {
        const known = entries.get(keyOf(message.conversationId, message.clientMessageId))
        const entry = known?.sending.status === "waiting" ? known : add(message)
        yield* Effect.promise(() => storage.put(message))
        yield* changed
        yield* start(message.conversationId)
        return yield* Deferred.await(entry.acknowledged)
      }),

    /** Forgets a message that failed, or has not been sent yet. */
    discard: (conversationId: ConversationId, clientMessageId: string) =>
      Effect.suspend(() => {
        const entry = entries.get(keyOf(conversationId, clientMessageId))
        return entry === undefined ? Effect.void : Effect.andThen(remove(entry), changed)
      }),

    /** One's own message has come as an event: that acknowledges it too. */
    seen: ({ clientMessageId, conversationId, createdAt, id, seq }: Message) =>
      Effect.suspend(() => {
        const entry = entries.get(keyOf(conversationId, clientMessageId))
        if (entry === undefined) return Effect.void
        Deferred.doneUnsafe(entry.acknowledged, Effect.succeed({ messageId: id, seq, createdAt, duplicate: false }))
        return remove(entry)
      }),

    /** Drops what was acknowledged and has come with a fetch, not as an event. */
    settle: (headOf: (id: ConversationId) => number | undefined) => {
      for (const [key, { seq, sending }] of entries) {
        const head = headOf(sending.message.conversationId)
        if (seq !== undefined && head !== undefined && seq <= head) entries.delete(key)
      }
    },

    /** The user is no longer in that conversation: nothing can be sent there. */
    left: (conversationId: ConversationId) =>
      Effect.forEach(
        [...entries.values()].filter(({ sending }) => sending.message.conversationId === conversationId),
        (entry) => Effect.andThen(remove(entry), Deferred.fail(entry.acknowledged, new NotFound({}))),
        { discard: true }
      )
  }
})
