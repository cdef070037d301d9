import { Effect, Option, Queue, Schema, Semaphore } from "effect"
import type { ConversationId, UserId } from "../../domain/Ids.ts"
import { whenBrowser } from "../Platform.ts"
import type { Store } from "../state/Store.ts"
import { type Database, prefixOf, stored } from "./Database.ts"
import { SavedConversation, SavedSession } from "./Saved.ts"

/** The state is stored at most this often: each time, what has changed since. */
const pause = "500 millis"

const decodeSession = Schema.decodeUnknownOption(SavedSession)
const encodeSession = Schema.encodeSync(SavedSession)
const decodeConversation = Schema.decodeUnknownOption(SavedConversation)
const encodeSaved = Schema.encodeSync(SavedConversation)

/** At most so many messages of each conversation are stored: the newest ones. */
const mostMessages = 100

/** After so many conversations the rest waits, so that a page can do other things: there may be thousands. */
const atOnce = 250

/** Lets others run before the conversation at this index of many. */
const breathe = (index: number) => (index % atOnce === atOnce - 1 ? Effect.yieldNow : Effect.void)

const encodeConversation = (saved: SavedConversation) => {
  const { messages } = saved.state
  if (messages === null || messages.length <= mostMessages) return encodeSaved(saved)
  return encodeSaved({ ...saved, state: { ...saved.state, messages: messages.slice(-mostMessages), hasBefore: true } })
}

const isSame = (one: SavedConversation | undefined, other: SavedConversation) =>
  one !== undefined &&
  one.state === other.state &&
  one.published === other.published &&
  one.unsure === other.unsure &&
  one.recount === other.recount &&
  one.hollow === other.hollow

/** Keeps the state for the next client. */
export interface Keeper {
  /** Fills the store, and returns what a resume needs besides; undefined when nothing is stored. */
  readonly restore: Effect.Effect<SavedSession | undefined>
  /** Stores the state soon. */
  readonly changed: Effect.Effect<void>
  /** From here the next client can resume. */
  readonly ready: (session: SavedSession) => Effect.Effect<void>
}

/** Keeps nothing. */
export const noKeeper: Keeper = { restore: Effect.undefined, changed: Effect.void, ready: () => Effect.void }

/** Keeps the state of a user in a database: read when the client starts, and written soon after each change. */
export const makeKeeper = Effect.fnUntraced(function* (database: Database, userId: UserId, store: Store) {
  const prefix = prefixOf(userId)
  const [sessionKey, conversations] = [`${prefix}session`, `${prefix}conversation/`]
  const written = new Map<ConversationId, SavedConversation>()
  const changes = yield* Queue.sliding<void>(1)
  const oneAtATime = yield* Semaphore.make(1)
  let session: SavedSession | undefined

  const restore = Effect.gen(function* () {
    const [entry] = yield* stored(() => database.read(sessionKey), [])
    const found = entry === undefined ? undefined : Option.getOrUndefined(decodeSession(entry[1]))
    if (found === undefined) return undefined
    const entries = yield* stored(() => database.read(conversations), [])
    for (const [index, [, value]] of entries.entries()) {
      yield* breathe(index)
      const saved = Option.getOrUndefined(decodeConversation(value))
      // One that cannot be read has no cursor, so the service sends the conversation as a new one.
      if (saved !== undefined) written.set(saved.state.conversation.id, store.restore(saved))
    }
    session = found
    return found
  })

  const flush = Effect.gen(function* () {
    if (session === undefined) return
    const current = store.saved()
    const changed = current.filter((one) => !isSame(written.get(one.state.conversation.id), one))
    const ids = new Set(current.map(({ state }) => state.conversation.id))
    const gone = [...written.keys()].filter((id) => !ids.has(id))
    const put: Array<readonly [string, unknown]> = [[sessionKey, encodeSession(session)]]
    for (const [index, one] of changed.entries()) {
      yield* breathe(index)
      put.push([conversations + one.state.conversation.id, encodeConversation(one)])
    }
    const write = async () => {
      await database.write({ put, remove: gone.map((id) => conversations + id) })
      for (const one of changed) written.set(one.state.conversation.id, one)
      for (const id of gone) written.delete(id)
    }
    yield* stored(write, undefined)
  }).pipe(oneAtATime.withPermit)

  yield* Effect.addFinalizer(() => flush)
  yield* Effect.sleep(pause).pipe(
    Effect.andThen(Queue.take(changes)),
    Effect.andThen(flush),
    Effect.forever,
    Effect.forkScoped
  )
  yield* whenBrowser("visibilitychange", flush)

  const changed = Effect.asVoid(Queue.offer(changes, undefined))
  const keeper: Keeper = {
    restore,
    changed,
    ready: (now) =>
      Effect.suspend(() => {
        session = now
        return changed
      })
  }
  return keeper
})
