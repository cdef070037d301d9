import { Context, Effect, Layer, type Scope, Stream } from "effect"
import type { UserId } from "../domain/Ids.ts"
import type { RateLimited, Unauthenticated, Unavailable } from "../domain/Problem.ts"
import type { Principal } from "../domain/Session.ts"
import { Conversations } from "../services/conversations/Conversations.ts"
import { StreamPositions, type Vector } from "../services/log/StreamPositions.ts"
import { noteOpen, tooManyOpen } from "../services/platform/Limits.ts"
import { bytesPer, HeavyReads } from "../services/platform/load/HeavyReads.ts"
import { Shedding } from "../services/platform/load/Shedding.ts"
import { eventStreams, limitHits } from "../services/platform/MetricDefinitions.ts"
import { Metrics } from "../services/platform/Metrics.ts"
import { Settings } from "../services/platform/Settings.ts"
import { untraced } from "../services/platform/Tracing.ts"
import { type ServerSentEvent, untracked } from "./EventStream.ts"
import { makeStreamLife, type ResumePoint } from "./StreamLife.ts"
import { parsePosition, StreamPosition } from "./StreamPosition.ts"

/** A cursor above every head is answered with a reset. */
const unknownSeq = Number.MAX_SAFE_INTEGER

/**
 * Limits the open streams of each user: the returned effect counts one until its scope closes, or fails. It fails too while the
 * node is too busy.
 */
const makeStreamLimit = Effect.gen(function* () {
  const { limits } = yield* Settings
  const metrics = yield* Metrics
  const shedding = yield* Shedding
  const open = new Map<UserId, number>()
  metrics.read(eventStreams, () => [...open.values()].reduce((sum, count) => sum + count, 0))
  const countRefusal = metrics.counter(limitHits, { limit: "streams" })

  const limit = limits.socketsPerUser
  return ({ userId }: Principal) =>
    Effect.acquireRelease(
      Effect.flatMap(shedding.check("connections"), () => {
        const others = open.get(userId) ?? 0
        if (others >= limit) {
          countRefusal()
          return tooManyOpen("streams", limit)
        }
        open.set(userId, others + 1)
        return noteOpen("streams", limit, limit - others - 1)
      }),
      () =>
        Effect.sync(() => {
          const others = (open.get(userId) ?? 1) - 1
          if (others === 0) open.delete(userId)
          else open.set(userId, others)
        })
    )
})

/** The events of a user for clients that have no WebSocket: the same events in the same order, read when pulled. */
export class EventStreams extends Context.Service<
  EventStreams,
  {
    /**
     * Opens a stream. Without a `lastEventId` it starts with the list of conversations. With one it continues after
     * that event, on any node; an unknown id resets every conversation. The stream ends with its scope, with the
     * session, when its token expires and when the node drains. Fails with `RateLimited` when the user has too many.
     */
    readonly open: (
      principal: Principal,
      lastEventId: string | undefined
    ) => Effect.Effect<Stream.Stream<ServerSentEvent>, Unavailable | Unauthenticated | RateLimited, Scope.Scope>
    /** Does the same for a caller that keeps its cursors itself: the events as JSON, without ids. */
    readonly follow: (
      principal: Principal,
      from: ResumePoint
    ) => Effect.Effect<Stream.Stream<string>, Unavailable | Unauthenticated | RateLimited, Scope.Scope>
  }
>()("chat/realtime/EventStreams") {
  static readonly layer = Layer.effect(
    EventStreams,
    Effect.gen(function* () {
      const conversations = yield* Conversations
      const positions = yield* StreamPositions
      const takeOne = yield* makeStreamLimit
      const reads = yield* HeavyReads
      const run = yield* makeStreamLife

      /** What the client has: undefined for nothing, cursors above every head for an id that is unknown. */
      const resumePoint = Effect.fnUntraced(function* ({ userId }: Principal, lastEventId: string | undefined) {
        if (lastEventId === undefined || lastEventId === "") return undefined
        const position = parsePosition(lastEventId)
        const base = position && (yield* positions.load(userId, position.base))
        const known = base && position.apply(base)
        if (known !== undefined) return known
        const { memberships, userSeq } = yield* conversations.memberships(userId)
        const shown = memberships.filter((membership) => membership.shown)
        return { seqs: shown.map(({ conversationId }) => [conversationId, unknownSeq] as const), userSeq }
      })

      /** Opens a stream in the turn of its user, who pays for it. */
      const inTurn = <A, E, R>({ userId }: Principal, opened: Effect.Effect<A, E, R>) =>
        reads.inTime(userId, opened, () => bytesPer.stream, true)

      const openNow = Effect.fnUntraced(function* (principal: Principal, lastEventId: string | undefined) {
        const from = yield* resumePoint(principal, lastEventId)
        const vector: Vector = from ?? { seqs: [], userSeq: 0 }
        const position = new StreamPosition(yield* positions.store(principal.userId, vector), vector)
        const fold = Effect.suspend(() => {
          const { vector } = position
          return Effect.map(positions.store(principal.userId, vector), (base) => position.rebase(base, vector))
        })
        const cursors = from && { cursors: Object.fromEntries(from.seqs), userSeq: from.userSeq }
        return yield* run(principal, cursors ?? {}, position, fold, (userSeq) => position.setUserSeq(userSeq))
      })

      const open = (principal: Principal, lastEventId: string | undefined) =>
        Effect.andThen(takeOne(principal), inTurn(principal, openNow(principal, lastEventId)))

      const follow = Effect.fnUntraced(function* (principal: Principal, from: ResumePoint) {
        yield* takeOne(principal)
        const events = yield* inTurn(
          principal,
          run(principal, from, untracked, Effect.void, () => {})
        )
        return Stream.map(events, ({ data }) => data)
      })

      // A stream outlives the request that opened it, so its work is not part of that request's trace.
      return EventStreams.of({
        open: (principal, lastEventId) => untraced(open(principal, lastEventId)),
        follow: (principal, from) => untraced(follow(principal, from))
      })
    })
  )
}
