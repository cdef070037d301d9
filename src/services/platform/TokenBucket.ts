import { makeSweep } from "./Sweep.ts"

/**
 * A token bucket in plain numbers, because it is asked for every frame: `rate` tokens a second, at most `burst`. Each `now`
 * is in milliseconds of the monotonic clock.
 */
export class TokenBucket {
  private readonly rate: number
  private readonly burst: number
  private tokens: number
  private at: number
  /** Refusals since the bucket was last full. */
  refused = 0

  constructor(rate: number, burst: number, now: number) {
    this.rate = rate
    this.burst = burst
    this.tokens = burst
    this.at = now
  }

  /** Whether nothing is missing, so that a new bucket would be the same. */
  isFull(now: number): boolean {
    return this.tokens + ((now - this.at) * this.rate) / 1000 >= this.burst
  }

  /** How many tokens there were to take after the last one was taken. */
  get whole(): number {
    return Math.floor(this.tokens)
  }

  private refill(now: number): void {
    this.tokens = Math.min(this.burst, this.tokens + ((now - this.at) * this.rate) / 1000)
    this.at = now
    if (this.tokens === this.burst) this.refused = 0
  }

  /** The milliseconds until there is a token to take; 0 when there is one. */
  wait(now: number): number {
    this.refill(now)
    return this.tokens >= 1 ? 0 : Math.ceil(((1 - this.tokens) * 1000) / this.rate)
  }

  /** Takes a token and returns 0, or the milliseconds until there is one. */
  take(now: number): number {
    const wait = this.wait(now)
    if (wait === 0) this.tokens--
    else this.refused++
    return wait
  }

  /** Takes tokens for what has been done already, also those that are still to come. */
  spend(tokens: number, now: number): void {
    this.refill(now)
    this.tokens -= tokens
  }
}

/** Makes the function that finds the bucket of a key, such as an address. Buckets that are full again are forgotten. */
export const makeBuckets = (rate: number, burst: number) => {
  const buckets = new Map<string, TokenBucket>()
  const sweep = makeSweep(buckets, (bucket, now: number) => bucket.isFull(now))

  return (key: string, now: number): TokenBucket => {
    const known = buckets.get(key)
    if (known !== undefined) return known
    sweep(now)
    const bucket = new TokenBucket(rate, burst, now)
    buckets.set(key, bucket)
    return bucket
  }
}
