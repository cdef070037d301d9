import { Deferred, Effect, FiberMap, Schema } from "effect"
import type { ConversationId } from "../domain/Ids.ts"
import { Ack, type Message } from "../domain/Message.ts"
import { NotFound, type Problem } from "../domain/Problem.ts"
import type { ConnectionLost, Refused } from "./Failures.ts"
import { begunUploads, commandOf, hasUploaded, uploadFiles, withoutUploads } from "./files/PendingFiles.ts"
import type { Uploader } from "./files/Uploads.ts"
import { jitter } from "./Platform.ts"
import type { PendingMessage, Sending } from "./state/State.ts"
import { stored } from "./storage/Database.ts"

/**
 * Where messages are kept until they are acknowledged, in the order of `put`. A storage that outlives the process, such
 * as IndexedDB or a file, loses no message that was written while there was no connection. The files of a message are
 * in its `attachments`, with their content as a `Blob`.
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

type Command = (op: string, data: unknown) => Effect.Effect<unknown, Problem | ConnectionLost | Refused>

/** How an outbox reaches the service, and tells of its changes. */
interface Ways {
  /** Waits for a connection. */
  readonly command: Command
  /** Waits for a connection too. */
  readonly uploader: Uploader
  /** Is run after each change of `sending`. */
  readonly changed: Effect.Effect<void>
}

/** Makes a function that uploads the files of one message and sends it, until the service stores or refuses it. */
const makeAttempt = (command: Command, prepare: (entry: Entry) => ReturnType<typeof uploadFiles>) => {
  const once = (entry: Entry): Effect.Effect<unknown, Problem | ConnectionLost | Refused> =>
    Effect.suspend(() => {
      const { message } = entry.sending
      return prepare(entry).pipe(
        Effect.flatMap((ready) => command("message.send", commandOf(ready))),
        Effect.catchTag("NotFound", (error) => {
          if (!hasUploaded(message)) return Effect.fail(error)
          // They may have waited for so long that the service has deleted them.
          entry.sending = { ...entry.sending, message: withoutUploads(message) }
          return once(entry)
        })
      )
    })
  const attempt = (entry: Entry, tries: number): Effect.Effect<Ack, SendError> =>
    once(entry).pipe(
      Effect.flatMap((ok) => Effect.orDie(decodeAck(ok))),
      Effect.catchTags({
        RateLimited: ({ retryAfterMs }) => Effect.delay(attempt(entry, tries), retryAfterMs),
        // The message may or may not have been stored.
        ConnectionLost: () => again(entry, tries),
        Internal: () => again(entry, tries),
        Unavailable: () => again(entry, tries)
      })
    )
  const again = (entry: Entry, tries: number) =>
    Effect.flatMap(jitter(tries), (pause) => Effect.delay(attempt(entry, tries + 1), pause))
  return (entry: Entry) => attempt(entry, 0)
}

/**
 * Makes a function that sends the waiting messages of a conversation, one at a time. Calling it meanwhile does
 * nothing.
 */
const makeWorkers = Effect.fnUntraced(function* (
  entries: ReadonlyMap<string, Entry>,
  storage: OutboxStorage,
  { changed, command, uploader }: Ways
) {
  const workers = yield* FiberMap.make<ConversationId>()
  const isHeld = (entry: Entry) => {
    const { clientMessageId, conversationId } = entry.sending.message
    return entries.get(keyOf(conversationId, clientMessageId)) === entry
  }
  const attempt = makeAttempt(command, (entry) =>
    uploadFiles(
      entry.sending.message,
      uploader.upload,
      (message) => {
        entry.sending = { ...entry.sending, message }
        return isHeld(entry) ? stored(() => storage.put(message), undefined) : Effect.void
      },
      (uploaded) => {
        entry.sending = { ...entry.sending, uploaded }
        return changed
      }
    )
  )

  const acknowledge = (entry: Entry, ack: Ack) =>
    Effect.gen(function* () {
      entry.seq = ack.seq
      entry.sending = { ...entry.sending, status: "sent", uploaded: null }
      yield* stored(() => storage.remove(entry.sending.message), undefined)
      yield* Deferred.succeed(entry.acknowledged, ack)
      yield* changed
    })

  const refuse = (entry: Entry, error: SendError) =>
    Effect.gen(function* () {
      // When the session ends, the message is not refused: the next session sends it.
      if (error._tag !== "Refused" && isHeld(entry)) {
        entry.sending = { ...entry.sending, status: "failed", problem: error, uploaded: null }
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
      return Effect.raceFirst(attempt(next), Deferred.await(next.acknowledged)).pipe(
        Effect.flatMap((ack) => acknowledge(next, ack)),
        Effect.catch((error) => refuse(next, error)),
        Effect.flatMap((outcome) => (outcome === "Refused" ? Effect.void : work(conversationId)))
      )
    })

  return (conversationId: ConversationId) =>
    FiberMap.run(workers, conversationId, work(conversationId), { onlyIfMissing: true })
})

/** Makes a function that gives what is being sent: the same list until one of the entries changes. */
const makeSending = (entries: ReadonlyMap<string, Entry>) => {
  let last: ReadonlyArray<Sending> = []
  return () => {
    const now = [...entries.values()].map(({ sending }) => sending)
    const isSame = now.length === last.length && now.every((one, index) => one === last[index])
    if (!isSame) last = now
    return last
  }
}

/** Makes the entries: the messages that are not settled yet, in the order in which they are sent. */
const makeEntries = (storage: OutboxStorage) => {
  const entries = new Map<string, Entry>()
  return {
    entries,
    sending: makeSending(entries),
    get: (conversationId: string, clientMessageId: string) => entries.get(keyOf(conversationId, clientMessageId)),
    add: (message: PendingMessage) => {
      const entry: Entry = {
        sending: { message, status: "waiting", problem: null, uploaded: null },
        seq: undefined,
        acknowledged: Deferred.makeUnsafe()
      }
      entries.set(keyOf(message.conversationId, message.clientMessageId), entry)
      return entry
    },
    remove: ({ sending: { message } }: Entry) =>
      Effect.suspend(() => {
        entries.delete(keyOf(message.conversationId, message.clientMessageId))
        return stored(() => storage.remove(message), undefined)
      }),
    /** Drops acknowledged messages that arrived with a fetch, not as an event. */
    settle: (headOf: (id: ConversationId) => number | undefined) => {
      for (const [key, { seq, sending }] of entries) {
        const head = headOf(sending.message.conversationId)
        if (seq !== undefined && head !== undefined && seq <= head) entries.delete(key)
      }
    }
  }
}

/** Makes the function that forgets a message, and ends what is under way for it. */
const makeDrop = (remove: (entry: Entry) => Effect.Effect<unknown>, { end }: Uploader) =>
  Effect.map(
    Effect.scope,
    (scope) => (entry: Entry) =>
      Deferred.fail(entry.acknowledged, new NotFound({})).pipe(
        Effect.andThen(remove(entry)),
        Effect.andThen(Effect.forkIn(Effect.forEach(begunUploads(entry.sending.message), end), scope)),
        Effect.asVoid
      )
  )

/**
 * Sends each message until it is acknowledged, in order and one at a time in a conversation, always under the same
 * `clientMessageId`, so that trying again never doubles it. The files of a message are uploaded before it.
 */
export const makeOutbox = Effect.fnUntraced(function* (storage: OutboxStorage, ways: Ways) {
  const { changed } = ways
  const { add, entries, get, remove, sending, settle } = makeEntries(storage)
  const start = yield* makeWorkers(entries, storage, ways)

  const drop = yield* makeDrop(remove, ways.uploader)

  const send = (message: PendingMessage): Effect.Effect<Ack, SendError> =>
    Effect.gen(function* () {
      const known = get(message.conversationId, message.clientMessageId)
      // A new entry under a known key keeps its position, so that a message that failed goes out in order.
      const entry = known?.sending.status === "waiting" ? known : add(message)
      yield* stored(() => storage.put(entry.sending.message), undefined)
      yield* changed
      yield* start(message.conversationId)
      return yield* Deferred.await(entry.acknowledged)
    })

  return {
    get sending(): ReadonlyArray<Sending> {
      return sending()
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

    /**
     * Forgets a message that failed or has not been sent yet, whose `send` then fails with `NotFound`. Repeating it does
     * nothing.
     */
    discard: (conversationId: ConversationId, clientMessageId: string) =>
      Effect.suspend(() => {
        const entry = get(conversationId, clientMessageId)
        return entry === undefined ? Effect.void : Effect.andThen(drop(entry), changed)
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
        drop,
        { discard: true }
      )
  }
})
