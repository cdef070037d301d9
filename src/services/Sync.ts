import { Context, Effect, Layer } from "effect"
import type { UserId } from "../domain/Ids.ts"
import type { Unavailable } from "../domain/Problem.ts"
import type { Synced, SyncRequest } from "../domain/Sync.ts"
import { Conversations, type Place } from "./Conversations.ts"
import { Drafts } from "./Drafts.ts"

/** How many conversations one statement reads. */
const pageSize = 50

/** How what a client has compares with where it is a member now. */
export interface Comparison {
  /** Still a member, with what the client has seen. */
  readonly kept: ReadonlyArray<Place & { readonly seen: number }>
  /** New to the client, or left and joined again: what it has of it is not what it may see. */
  readonly added: ReadonlyArray<Place>
  /** Named by the client, but not its user's (any more). */
  readonly removed: ReadonlyArray<string>
  /** Kept, and the user's own state in it changed after the client's `userSeq`. */
  readonly changed: ReadonlyArray<Place>
}

/** Without a `userSeq` nothing counts as changed: the client does not keep that state. */
export const compare = (places: ReadonlyArray<Place>, { cursors, userSeq }: SyncRequest): Comparison => {
  const seen = new Map(Object.entries(cursors))
  const isAdded = (place: Place) => (seen.get(place.conversationId) ?? -1) < place.visibleFromSeq - 1
  const kept = places.filter((place) => !isAdded(place))
  const mine = new Set<string>(places.map((place) => place.conversationId))
  return {
    kept: kept.map((place) => ({ ...place, seen: seen.get(place.conversationId) ?? 0 })),
    added: places.filter(isAdded),
    removed: [...seen.keys()].filter((id) => !mine.has(id)),
    changed: userSeq === undefined ? [] : kept.filter((place) => place.userSeq > userSeq)
  }
}

/** Tells a client that comes back what it must fetch: the list of conversations may miss what moves while it is paged. */
export class Sync extends Context.Service<
  Sync,
  { readonly sync: (userId: UserId, request: SyncRequest) => Effect.Effect<Synced, Unavailable> }
>()("chat/services/Sync") {
  static readonly layer = Layer.effect(
    Sync,
    Effect.gen(function* () {
      const conversations = yield* Conversations
      const drafts = yield* Drafts
      return Sync.of({
        sync: Effect.fn("Sync.sync")(function* (userId, request) {
          const { places, userSeq } = yield* conversations.places(userId)
          const { added, changed, kept, removed } = compare(places, request)
          const wanted = [...added, ...changed].map((place) => place.conversationId)
          const pages = Array.from({ length: Math.ceil(wanted.length / pageSize) }, (_, page) =>
            wanted.slice(page * pageSize, (page + 1) * pageSize)
          )
          const found = (yield* Effect.forEach(pages, (ids) => conversations.getMany(userId, ids))).flat()
          const isAdded = new Set(added.map((place) => place.conversationId))
          return {
            userSeq,
            added: found.filter(({ id }) => isAdded.has(id)),
            removed,
            behind: kept
              .filter((place) => place.seq !== place.seen)
              .map(({ conversationId, seq }) => ({ conversationId, seq })),
            drafts: request.userSeq === undefined ? [] : yield* drafts.changedAfter(userId, request.userSeq),
            settings: found.filter(({ id }) => !isAdded.has(id)).map(({ id, me }) => ({ conversationId: id, me }))
          }
        })
      })
    })
  )
}
