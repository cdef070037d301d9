import { Array as Arr, Context, Effect, Layer, Schema } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import type { InvalidRequest, Unavailable } from "../../domain/Problem.ts"
import type { Synced, SyncRequest } from "../../domain/Sync.ts"
import { Conversations, type MembershipState } from "../conversations/Conversations.ts"
import { cursorOf, Place } from "../platform/Paging.ts"
import { Drafts } from "./Drafts.ts"
import { MessageChanges } from "./MessageChanges.ts"
import { Stars } from "./Stars.ts"

/** At most this many conversations are read by one statement. */
const conversationsPerRead = 50

/** One answer tells at most this many conversations, with about a kilobyte for each. */
const conversationsPerAnswer = 500

/** How the state of a client differs from the present memberships of its user. */
interface SyncDifference {
  /** The conversations that the client knows, with the seq up to which it knows them. */
  readonly kept: ReadonlyArray<MembershipState & { readonly seen: number }>
  /**
   * Conversations that are new to the client, or that the user left and joined again: then what the client has is not
   * what the user may see.
   */
  readonly added: ReadonlyArray<MembershipState>
  /** The ids in the request that are no conversations of the user now. */
  readonly removed: ReadonlyArray<string>
  /** The kept ones in which the user's own state has changed after the client's `userSeq`. */
  readonly changed: ReadonlyArray<MembershipState>
}

/**
 * Compares what a client has with the current memberships. Without a `userSeq` nothing counts as changed: the client
 * does not keep that state.
 */
export const compare = (
  memberships: ReadonlyArray<MembershipState>,
  { cursors, userSeq }: SyncRequest
): SyncDifference => {
  const seen = new Map(Object.entries(cursors))
  const isAdded = (membership: MembershipState) =>
    (seen.get(membership.conversationId) ?? -1) < membership.visibleFromSeq - 1
  // A conversation that does not show to the user is neither kept nor added. It is not removed either, since the user
  // is a member.
  const shown = memberships.filter((membership) => membership.shown)
  const kept = shown.filter((membership) => !isAdded(membership))
  const mine = new Set<string>(memberships.map((membership) => membership.conversationId))
  return {
    kept: kept.map((membership) => ({ ...membership, seen: seen.get(membership.conversationId) ?? 0 })),
    added: shown.filter(isAdded),
    removed: [...seen.keys()].filter((id) => !mine.has(id)),
    changed: userSeq === undefined ? [] : kept.filter((membership) => membership.userSeq > userSeq)
  }
}

/**
 * The membership that was told last, in the order of their changes. A client in more conversations than a request can have
 * cursors for is told each of them once by this, and again when it has changed meanwhile, because that moves it to the end.
 */
const Told = Schema.Struct({ userSeq: Place, conversationId: Schema.String })
const toldCursor = cursorOf(Told)

/** What is new to a client that was told a part before, in the order of the changes. */
const notTold = (added: ReadonlyArray<MembershipState>, told: typeof Told.Type | undefined) => {
  const isBefore = (one: typeof Told.Type, other: typeof Told.Type) =>
    one.userSeq === other.userSeq ? one.conversationId < other.conversationId : one.userSeq < other.userSeq
  return added
    .filter((membership) => told === undefined || isBefore(told, membership))
    .toSorted((one, other) => (isBefore(one, other) ? -1 : 1))
}

/** What one answer tells of a difference. */
interface SyncAnswer extends Pick<SyncDifference, "added" | "changed"> {
  /** Up to which user seq the client knows its own state after this answer. */
  readonly userSeq: number
  /** Whether there is more to tell. */
  readonly more: boolean
}

/**
 * Chooses what an answer of at most `most` conversations tells: first what is new to the client, then what has changed, in
 * the order of the changes. `userSeq` is the present one.
 */
const choose = (
  { added, changed }: SyncDifference,
  { known, most, userSeq }: { readonly known: number | undefined; readonly most: number; readonly userSeq: number }
): SyncAnswer => {
  const left = most - added.length
  const inOrder = changed.toSorted((one, other) => one.userSeq - other.userSeq)
  const next = inOrder[Math.max(0, left)]
  if (left < 0) return { added: added.slice(0, most), changed: [], userSeq: known ?? userSeq, more: true }
  if (next === undefined) return { added, changed: inOrder, userSeq, more: false }
  return { added, changed: inOrder.slice(0, left), userSeq: next.userSeq - 1, more: true }
}

/** Tells a client that reconnects what it must fetch. */
export class Sync extends Context.Service<
  Sync,
  {
    /**
     * Compares what the client has with the present. Paging through the list of conversations cannot replace it, because
     * a conversation that moves meanwhile may be missed. A client that lacks very much is told a part, with `more`, and
     * asks again with what it has then. It changes nothing, so it may be repeated. Fails with `InvalidRequest` for a bad
     * `cursor`.
     */
    readonly sync: (userId: UserId, request: SyncRequest) => Effect.Effect<Synced, InvalidRequest | Unavailable>
  }
>()("chat/services/Sync") {
  /** The service with at most `most` conversations in one answer. */
  static readonly layerWith = (most: number) =>
    Layer.effect(
      Sync,
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const changes = yield* MessageChanges
        const drafts = yield* Drafts
        const stars = yield* Stars
        return Sync.of({
          sync: Effect.fn("Sync.sync")(function* (userId, request) {
            const told = request.cursor === undefined ? undefined : yield* toldCursor.decode(request.cursor)
            const { memberships, userSeq } = yield* conversations.memberships(userId)
            const difference = compare(memberships, request)
            const missing = { ...difference, added: notTold(difference.added, told) }
            const { added, changed, more, ...chosen } = choose(missing, { known: request.userSeq, most, userSeq })
            const wanted = [...added, ...changed].map((membership) => membership.conversationId)
            const pages = Arr.chunksOf(wanted, conversationsPerRead)
            const found = (yield* Effect.forEach(pages, (ids) => conversations.getMany(userId, ids))).flat()
            const last = added.at(-1) ?? told
            const isAdded = new Set(added.map((membership) => membership.conversationId))
            // Own state waits until the client has all conversations that it may be about.
            const own = chosen.userSeq === request.userSeq ? undefined : request.userSeq
            return {
              userSeq: chosen.userSeq,
              added: found.filter(({ id }) => isAdded.has(id)),
              removed: difference.removed,
              behind: more
                ? []
                : difference.kept
                    .filter((membership) => membership.seq !== membership.seen)
                    .map(({ conversationId, seq }) => ({ conversationId, seq })),
              drafts: own === undefined ? [] : yield* drafts.changedAfter(userId, own),
              stars: own === undefined ? [] : yield* stars.changedAfter(userId, own),
              hidden: own === undefined ? [] : yield* changes.hiddenAfter(userId, own),
              settings: found.filter(({ id }) => !isAdded.has(id)).map(({ id, me }) => ({ conversationId: id, me })),
              ...(more && { more }),
              ...(more && last !== undefined && { nextCursor: toldCursor.encode(last) })
            }
          })
        })
      })
    )

  static readonly layer = Sync.layerWith(conversationsPerAnswer)
}
