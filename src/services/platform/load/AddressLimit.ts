import { Clock, Context, Effect, Layer } from "effect"
import { CloseCode } from "../../../domain/Protocol.ts"
import { addressKey } from "../Address.ts"
import type { NamedAllowance } from "../Limits.ts"
import { monotonicMillis } from "../Monotonic.ts"
import { Settings } from "../Settings.ts"
import { makeBuckets, type TokenBucket } from "../TokenBucket.ts"

/** What the limit says to a request: when to come again, 0 if it is served, and what is left. */
interface Counted {
  readonly retryAfterMs: number
  readonly allowance: NamedAllowance
}

/**
 * The codes of sockets that were closed for what their peers sent. Such an end costs as much as many requests, because what
 * had come in was read, and the same may come again at once.
 */
export const costlyEnds: ReadonlySet<number> = new Set([
  CloseCode.rateLimited,
  CloseCode.badFrame,
  CloseCode.frameTooLarge
])

/** How many requests such an end counts as. */
const requestsPerEnd = 100

/** How many bytes of a body or an answer are free. */
const freeBytes = 16_384

/** How many more bytes count as one more request: of what is read, which is parsed too, and of what is answered. */
const bytesPerRequest = { read: 1024, answered: 16_384 }

/**
 * How many answers that refuse an address gets without waiting, at once and a second, at least. Some count as several: a 429,
 * because whoever goes on asking after it does not wait by itself, and one that leaves a body unread, because a part of that
 * has come in.
 */
const promptRefusals = { burst: 1000, perSecond: 100, perCostly: 5 }

/** How long such an answer is held back at most, in milliseconds. */
const longestHold = 10_000

/**
 * Counts what an address asks of this node before it has shown a token (`limits.address_requests_per_second`), and what it
 * costs beyond that: bytes, and refusals.
 */
export class AddressLimit extends Context.Service<
  AddressLimit,
  {
    /** Counts a request. */
    readonly take: (address: string) => Counted
    /** Counts the end of a socket, when the socket was closed for what its peer sent. */
    readonly closed: (address: string, code: number) => void
    /** Says what `take` would say, and counts nothing: for a socket, which is counted when it is accepted and when it ends. */
    readonly look: (address: string) => Counted
    /**
     * Counts bytes that are about to be parsed: a body, or the cursors of a hello. Returns 0, or the milliseconds until the
     * address may send as much; then nothing is counted. Few bytes are free.
     */
    readonly read: (address: string, bytes: number) => number
    /** Counts the bytes of an answer to a request that `take` has counted, and returns the same. */
    readonly answered: (address: string, bytes: number) => number
    /**
     * Counts an answer that refuses (4xx), as a costly one if it is a 429 or leaves a body unread. Returns the milliseconds for
     * which it is held back, which are 0 unless the address is refused again and again: each refusal costs nearly as much as
     * what it refuses.
     */
    readonly refused: (address: string, isCostly: boolean) => number
  }
>()("chat/services/AddressLimit") {
  static readonly layer = Layer.effect(
    AddressLimit,
    Effect.gen(function* () {
      const { addressRequestsBurst: burst, addressRequestsPerSecond: rate } = (yield* Settings).limits
      const clock = yield* Clock.Clock
      const buckets = makeBuckets(rate, burst)
      const refusals = makeBuckets(
        Math.max(promptRefusals.perSecond, rate / 2),
        Math.max(promptRefusals.burst, burst / 2)
      )
      const now = () => monotonicMillis(clock)
      const bucketOf = (address: string) => buckets(addressKey(address), now())
      const windowMs = (burst * 1000) / rate
      const counted = (bucket: TokenBucket, retryAfterMs: number): Counted => {
        const remaining = Math.max(0, bucket.whole)
        const resetMs = retryAfterMs > 0 ? retryAfterMs : ((burst - remaining) * 1000) / rate
        return { retryAfterMs, allowance: { name: "address", limit: burst, remaining, resetMs, windowMs } }
      }
      const pay = (address: string, requests: number) => {
        if (requests <= 0) return 0
        const bucket = bucketOf(address)
        const wait = bucket.wait(now())
        if (wait === 0) bucket.spend(requests, now())
        return wait
      }

      return AddressLimit.of({
        take: (address) => {
          const bucket = bucketOf(address)
          return counted(bucket, bucket.take(now()))
        },
        look: (address) => {
          const bucket = bucketOf(address)
          return counted(bucket, bucket.wait(now()))
        },
        closed: (address, code) => {
          if (costlyEnds.has(code)) bucketOf(address).spend(requestsPerEnd, now())
        },
        read: (address, bytes) => pay(address, (bytes - freeBytes) / bytesPerRequest.read),
        answered: (address, bytes) => pay(address, (bytes - freeBytes) / bytesPerRequest.answered),
        refused: (address, isCostly) => {
          const bucket = refusals(addressKey(address), now())
          bucket.spend(isCostly ? promptRefusals.perCostly : 1, now())
          return Math.min(longestHold, bucket.wait(now()))
        }
      })
    })
  )
}
