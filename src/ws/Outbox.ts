import type { Socket } from "node:net"

/** One flush for all sockets that have something to send. */
const pending = new Set<Outbox>()

const flushAll = () => {
  const outboxes = [...pending]
  pending.clear()
  for (const outbox of outboxes) outbox.flush()
}

/** One turn of the event loop later: what had come by then is read first, and what it brings is joined. */
const flushNextTurn = () => setImmediate(flushAll)

/** Up to so many bytes are joined into one buffer for one write. */
const joinBelow = 8192

/**
 * The frames on their way to one socket, written once in two turns of the event loop. What was written and not yet
 * taken by the kernel counts too, since `net.Socket` never refuses a write. It refuses nothing itself: who pushes looks
 * at `load` first.
 */
export class Outbox {
  private readonly socket: Socket
  private readonly maxBytes: number
  private readonly maxFrames: number
  private queue: Array<Buffer> = []
  private queuedBytes = 0
  private blockedSince: number | undefined
  private waiters: Array<{ readonly below: number; readonly resume: () => void }> = []

  constructor(socket: Socket, limits: { readonly bytes: number; readonly frames: number }) {
    this.socket = socket
    this.maxBytes = limits.bytes
    this.maxFrames = limits.frames
    socket.on("drain", () => {
      this.blockedSince = undefined
      this.flush()
    })
  }

  /** How full it is, from 0 to 1 and beyond. */
  get load(): number {
    return this.loadWith(0)
  }

  /** How full it would be with so many bytes more. */
  loadWith(bytes: number): number {
    const total = this.queuedBytes + this.counted(this.socket.writableLength) + this.counted(bytes)
    return Math.max(total / this.maxBytes, this.queue.length / this.maxFrames)
  }

  /** One large answer or page must not look like a slow reader: what is sent as one counts as a quarter at most. */
  private counted(bytes: number): number {
    return Math.min(bytes, this.maxBytes / 4)
  }

  push(frame: Buffer): void {
    this.queue.push(frame)
    this.queuedBytes += this.counted(frame.length)
    if (this.socket.writableNeedDrain) return
    // A burst within the two turns is no slow reader: only what the kernel does not take may fill it.
    if (this.queue.length >= this.maxFrames / 4 || this.queuedBytes >= this.maxBytes / 4) {
      this.flush()
    } else {
      if (pending.size === 0) setImmediate(flushNextTurn)
      pending.add(this)
    }
  }

  /** Calls `resume` once, as soon as the load is below that fraction; never when the socket ends first. */
  onceBelow(below: number, resume: () => void): void {
    if (this.load < below) resume()
    else this.waiters.push({ below, resume })
  }

  /** How long the kernel has taken nothing, in milliseconds by the clock of the calls. */
  blockedFor(now: number): number {
    if (!this.socket.writableNeedDrain) return 0
    this.blockedSince ??= now
    return now - this.blockedSince
  }

  /** Forgets what is not yet written: nothing may follow a close frame. */
  discard(): void {
    this.queue = []
    this.queuedBytes = 0
  }

  flush(): void {
    if (!this.socket.writable || this.socket.writableNeedDrain) return
    const frames = this.queue
    // Small frames cost less joined than as a list for the kernel.
    if (frames.length > 1 && this.queuedBytes <= joinBelow) {
      this.queue = []
      this.queuedBytes = 0
      this.socket.write(Buffer.concat(frames))
      this.wake()
      return
    }
    let written = 0
    if (frames.length > 1) this.socket.cork()
    for (const frame of frames) {
      written++
      this.queuedBytes -= this.counted(frame.length)
      if (!this.socket.write(frame)) break
    }
    if (frames.length > 1) this.socket.uncork()
    this.queue = written === frames.length ? [] : frames.slice(written)
    this.wake()
  }

  private wake(): void {
    if (this.waiters.length === 0) return
    const waiters = this.waiters
    this.waiters = []
    for (const waiter of waiters) this.onceBelow(waiter.below, waiter.resume)
  }
}
