/** A token bucket in plain numbers, for what is asked with every frame: `rate` a second, bursts of `burst`. */
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

  /** Takes a token: 0, or in how many milliseconds there will be one. Times are in milliseconds. */
  take(now: number): number {
    this.tokens = Math.min(this.burst, this.tokens + ((now - this.at) * this.rate) / 1000)
    this.at = now
    if (this.tokens === this.burst) this.refused = 0
    if (this.tokens >= 1) {
      this.tokens--
      return 0
    }
    this.refused++
    return Math.ceil(((1 - this.tokens) * 1000) / this.rate)
  }
}
