import type { Socket } from "node:net"
import { joinFrames } from "../realtime/TextFrame.ts"

/** All outboxes that have something to send, each once: they are flushed together. */
let pending: Array<Outbox> = []

/**
 * Makes a join of frames that remembers the last one until it is told to forget: the members of a room get the same frames.
 * A buffer for each of them is memory outside of the heap, for which V8 collects the whole heap again and again.
 */
const sharing = (join: (frames: ReadonlyArray<Buffer>) => Buffer) => {
  let last: ReadonlyArray<Buffer> = []
  let joined: Buffer | undefined
  return {
    join: (frames: ReadonlyArray<Buffer>): Buffer => {
      const isSame = frames.length === last.length && frames.every((frame, index) => frame === last[index])
      if (joined !== undefined && isSame) return joined
      last = frames
      joined = join(frames)
      return joined
    },
    forget: () => {
      last = []
      joined = undefined
    }
  }
}

const joined = sharing((frames) => Buffer.concat(frames))
const joinedAsArray = sharing(joinFrames)

const flushAll = () => {
  const outboxes = pending
  pending = []
  for (const outbox of outboxes) outbox.flushPending()
  joined.forget()
  joinedAsArray.forget()
}

/** Up to this many outboxes are flushed at once: a message by itself should not wait, and more would hardly be joined. */
const few = 8

/** Flushes one turn of the event loop later: input that has arrived is read first, and what it causes is joined. */
const flushNextTurn = () => setImmediate(flushAll)

/** Flushes as soon as the code that pushes is through, or two turns of the event loop later when there is much to join. */
const flushSoon = () => {
  if (pending.length <= few) flushAll()
  else setImmediate(flushNextTurn)
}

/** At most this many bytes are joined into one buffer for one write. */
const joinBelow = 8192

/** An array for a client with `caps: ["batch"]` holds at most this many bytes, unless one frame alone has more. */
export const batchBytes = 65_536

/** The end of the batch that begins with the frame at `start`. */
const endOfBatch = (frames: ReadonlyArray<Buffer>, start: number) => {
  let bytes = 0
  for (let end = start; end < frames.length; end++) {
    bytes += frames[end]?.length ?? 0
    if (bytes > batchBytes && end > start) return end
  }
  return frames.length
}

/**
 * The frames on their way to one socket, written together soon (see `flushSoon`). Bytes that were written but not
 * yet taken by the kernel count too, since `net.Socket` never refuses a write. The outbox refuses nothing itself:
 * callers check `load` before they push.
 */
export class Outbox {
  /** Whether frames that leave together may be joined into arrays. */
  batches = false
  private readonly socket: Socket
  private readonly maxBytes: number
  private readonly maxFrames: number
  private queue: Array<Buffer> = []
  private queuedBytes = 0
  private isPending = false
  private blockedSince: number | undefined
  private waiters: Array<{ readonly below: number; readonly resume: () => void }> | undefined

  constructor(socket: Socket, limits: { readonly bytes: number; readonly frames: number }) {
    this.socket = socket
    this.maxBytes = limits.bytes
    this.maxFrames = limits.frames
    socket.on("drain", () => {
      this.blockedSince = undefined
      this.flush()
    })
  }

  /** How full the outbox is: 1 is full, and it can be more. */
  get load(): number {
    return this.loadWith(0)
  }

  /** How full the outbox would be with that many more bytes. */
  loadWith(bytes: number): number {
    const total = this.queuedBytes + this.counted(this.socket.writableLength) + this.counted(bytes)
    return Math.max(total / this.maxBytes, this.queue.length / this.maxFrames)
  }

  /** A frame counts as a quarter of the limit at most, so that one large answer does not make the client a slow one. */
  private counted(bytes: number): number {
    return Math.min(bytes, this.maxBytes / 4)
  }

  /** Queues a frame, to be written within two turns of the event loop, see `flushSoon`. */
  push(frame: Buffer): void {
    this.queue.push(frame)
    this.queuedBytes += this.counted(frame.length)
    if (this.socket.writableNeedDrain) return
    // A burst within the two turns does not make a slow client: only frames that the kernel does not take may pile up.
    if (this.queue.length >= this.maxFrames / 4 || this.queuedBytes >= this.maxBytes / 4) {
      this.flush()
    } else if (!this.isPending) {
      this.isPending = true
      if (pending.length === 0) process.nextTick(flushSoon)
      pending.push(this)
    }
  }

  /** Calls `resume` once, as soon as the load is below `below`; never when the socket ends first. */
  onceBelow(below: number, resume: () => void): void {
    if (this.load < below) resume()
    else this.waiters = [...(this.waiters ?? []), { below, resume }]
  }

  /** For how many milliseconds the kernel has taken nothing. `now` is in milliseconds of the monotonic clock. */
  blockedFor(now: number): number {
    if (!this.socket.writableNeedDrain) return 0
    this.blockedSince ??= now
    return now - this.blockedSince
  }

  /** Drops the frames that are not yet written: nothing may follow a close frame. */
  discard(): void {
    this.queue = []
    this.queuedBytes = 0
  }

  /** Writes what `push` has left for later. */
  flushPending(): void {
    this.isPending = false
    this.flush()
  }

  /** Writes the queued frames until the kernel takes no more. */
  flush(): void {
    if (!this.socket.writable || this.socket.writableNeedDrain) return
    const frames = this.queue
    if (this.batches && frames.length > 1) {
      this.flushArrays(frames)
      return
    }
    // Small frames cost less joined than as a list for the kernel.
    if (frames.length > 1 && this.queuedBytes <= joinBelow) {
      this.queue = []
      this.queuedBytes = 0
      this.socket.write(joined.join(frames))
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

  private flushArrays(frames: ReadonlyArray<Buffer>): void {
    let written = 0
    this.socket.cork()
    while (written < frames.length) {
      const end = endOfBatch(frames, written)
      const batch = frames.slice(written, end)
      written = end
      for (const frame of batch) this.queuedBytes -= this.counted(frame.length)
      if (!this.socket.write(batch.length === 1 && batch[0] !== undefined ? batch[0] : joinedAsArray.join(batch))) break
    }
    this.socket.uncork()
    this.queue = frames.slice(written)
    this.wake()
  }

  private wake(): void {
    const { waiters } = this
    if (waiters === undefined) return
    this.waiters = undefined
    for (const waiter of waiters) this.onceBelow(waiter.below, waiter.resume)
  }
}
