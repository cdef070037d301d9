import { Clock, Context, Effect, Layer, type Scope, Stream } from "effect"
import type { UserId } from "../../../domain/Ids.ts"
import { RateLimited, type Unavailable } from "../../../domain/Problem.ts"
import { limitHits } from "../MetricDefinitions.ts"
import { Metrics } from "../Metrics.ts"
import { monotonicMillis } from "../Monotonic.ts"
import { Settings } from "../Settings.ts"
import { makeBuckets } from "../TokenBucket.ts"
import { FairQueue } from "./FairQueue.ts"
import { Shedding } from "./Shedding.ts"

/** The share of the connections to PostgreSQL that may be busy with heavy reads, and with searches. */
const shares = { reads: 0.6, searches: 0.2 }

/** How many of them one user may have at a time, and how many may wait. */
const perUser = { reads: { atATime: 2, waiting: 64 }, searches: { atATime: 1, waiting: 16 } }

/** How many files one user may download at a time, and how many downloads may wait. */
const downloadsPerUser = { atATime: 8, waiting: 256 }

/** A byte of a file costs a node less than one of a list, which it reads from the database and encodes. */
const fileBytesPerByte = 8

/**
 * How many bytes an answer may have that the user's next read follows at once, for how many more of them that waits a
 * millisecond longer, and how long at most. To decode, encode and write them takes a twentieth of that or less, in which
 * nobody else is served: so the big answers of one user, one at a time, take a twentieth of a node, also those paid ahead.
 */
const rest = { freeBytes: 65_536, bytesPerMs: 4096, longestMs: 500 }

/** The rest between the parts of what one connection has missed, in milliseconds. */
const shortRestMs = 3

/** How many may wait in total. */
const waiting = 2000

/**
 * The bytes that parts of an answer are counted with: an item of a list beside its text, a conversation, a membership, and a
 * conversation that a connection begins to follow, or a stream of events that is opened and closed, which is work of as much time.
 */
export const bytesPer = { item: 500, conversation: 1500, membership: 100, followed: 1000, stream: 262_144 }

const detail = "Too much is being read at once"

/**
 * The queue of reads with big answers. The users take turns, so that whoever reads much keeps nobody else waiting, and after a
 * big answer the user's next one waits a little, so that others are served in between. What an
 * answer has is paid by its user afterwards: `limits.readBytesPerSecond`, and `limits.readBytesBurst` ahead, on each node.
 * The bytes are estimates.
 */
export class HeavyReads extends Context.Service<
  HeavyReads,
  {
    /**
     * Does a read in the turn of the user. Fails with `RateLimited` while earlier answers are not paid or too many reads of
     * the user wait, and with `Unavailable` when too many wait in total or the node is too busy.
     */
    readonly read: <A, E, R>(
      userId: UserId,
      read: Effect.Effect<A, E, R>,
      bytesOf: (answer: A) => number
    ) => Effect.Effect<A, E | RateLimited | Unavailable, R>
    /** Does the same for a search, of which fewer are done at a time. */
    readonly search: <A, E, R>(
      userId: UserId,
      search: Effect.Effect<A, E, R>,
      bytesOf: (answer: A) => number
    ) => Effect.Effect<A, E | RateLimited | Unavailable, R>
    /**
     * Does a read of a connection that is being brought up to date, which has one read at a time. It waits until earlier
     * answers are paid and its turn has come, and is never refused. The next one follows soon, unless `rests` is set, since a
     * connection may need many for what it has missed.
     */
    readonly inTime: <A, E, R>(
      userId: UserId,
      read: Effect.Effect<A, E, R>,
      bytesOf: (answer: A) => number,
      rests?: boolean
    ) => Effect.Effect<A, E, R>
    /**
     * Opens a file in the turn of the user, who downloads it until the scope closes, and pays for what is read of it. Fails as
     * `read` does.
     */
    readonly download: <E, R>(
      userId: UserId,
      open: Effect.Effect<Stream.Stream<Uint8Array, E>, E, R>
    ) => Effect.Effect<Stream.Stream<Uint8Array, E>, E | RateLimited | Unavailable, R | Scope.Scope>
  }
>()("chat/services/HeavyReads") {
  static readonly layer = Layer.effect(
    HeavyReads,
    Effect.gen(function* () {
      const { limits, postgres } = yield* Settings
      const shedding = yield* Shedding
      const clock = yield* Clock.Clock
      const limited = (yield* Metrics).counter(limitHits, { limit: "reads" })
      const connections = postgres?.maxConnections ?? 10
      const queueOf = (kind: keyof typeof shares) =>
        new FairQueue({
          atATime: Math.max(1, Math.floor(connections * shares[kind])),
          atATimePerKey: perUser[kind].atATime,
          waiting,
          waitingPerKey: perUser[kind].waiting,
          detail
        })
      const reads = queueOf("reads")
      const searches = queueOf("searches")
      const downloads = new FairQueue({
        atATimePerKey: downloadsPerUser.atATime,
        waiting,
        waitingPerKey: downloadsPerUser.waiting,
        detail
      })
      const bucketOf = makeBuckets(limits.readBytesPerSecond, limits.readBytesBurst)
      const now = () => monotonicMillis(clock)

      const debtOf = (userId: UserId) => bucketOf(userId, now()).wait(now())
      /** Pays for an answer, and returns the rest after it. */
      const pay =
        <A>(userId: UserId, bytesOf: (answer: A) => number) =>
        (answer: A) => {
          const bytes = bytesOf(answer)
          bucketOf(userId, now()).spend(bytes, now())
          return Math.min(rest.longestMs, Math.max(0, bytes - rest.freeBytes) / rest.bytesPerMs)
        }

      const check = (userId: UserId) =>
        Effect.suspend((): Effect.Effect<void, RateLimited | Unavailable> => {
          const retryAfterMs = debtOf(userId)
          if (retryAfterMs === 0) return shedding.check("reads")
          limited()
          return Effect.fail(new RateLimited({ retryAfterMs, detail: "Too much was read in a short time" }))
        })

      const limitedBy =
        (queue: typeof reads): HeavyReads["Service"]["read"] =>
        (userId, read, bytesOf) =>
          Effect.andThen(check(userId), queue.run(userId, read, pay(userId, bytesOf)))

      return HeavyReads.of({
        read: limitedBy(reads),
        search: limitedBy(searches),
        inTime: (userId, read, bytesOf, rests = false) =>
          Effect.suspend(() => {
            const debt = debtOf(userId)
            const paid = pay(userId, bytesOf)
            const turn = reads.patient(userId, read, undefined, (answer) => {
              const restMs = paid(answer)
              return rests ? restMs : Math.min(restMs, shortRestMs)
            })
            return debt === 0 ? turn : Effect.andThen(Effect.sleep(debt), turn)
          }),
        download: (userId, open) =>
          check(userId).pipe(
            Effect.andThen(downloads.hold(userId)),
            Effect.andThen(open),
            Effect.map(
              Stream.tap(({ length }) =>
                Effect.sync(() => bucketOf(userId, now()).spend(length / fileBytesPerByte, now()))
              )
            )
          )
      })
    })
  )
}
