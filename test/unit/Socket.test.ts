import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ConversationId, UserId } from "../../src/domain/Ids.ts"
import { deeperThan } from "../../src/domain/Json.ts"
import { Cursor, type Follower } from "../../src/ws/Cursor.ts"
import { Frame } from "../../src/ws/Frame.ts"
import { Outbox } from "../../src/ws/Outbox.ts"
import { encodeFrame } from "../../src/ws/Protocol.ts"
import { TokenBucket } from "../../src/ws/TokenBucket.ts"
import { randomOf } from "../support/Random.ts"

describe("a token bucket", () => {
  it("gives its burst at once, and then its rate", () => {
    const bucket = new TokenBucket(20, 60, 1000)
    for (let n = 0; n < 60; n++) assert.strictEqual(bucket.take(1000), 0)
    assert.strictEqual(bucket.take(1000), 50)
    assert.isAtMost(bucket.take(1049), 2)
    assert.strictEqual(bucket.take(1050), 0)
    assert.strictEqual(bucket.take(1050), 50)
    for (let second = 2; second < 5; second++) {
      let taken = 0
      for (let ms = 1; ms <= 1000; ms++) if (bucket.take(second * 1000 + 50 + ms) === 0) taken++
      assert.approximately(taken, second === 2 ? 39 : 20, 1)
    }
  })

  it("keeps no more than its burst, however long nobody asks", () => {
    const bucket = new TokenBucket(20, 3, 0)
    for (let n = 0; n < 3; n++) assert.strictEqual(bucket.take(1e12), 0)
    assert.isAbove(bucket.take(1e12), 0)
  })

  it("counts refusals until it is full again", () => {
    const bucket = new TokenBucket(10, 2, 0)
    for (let n = 0; n < 5; n++) bucket.take(0)
    assert.strictEqual(bucket.refused, 3)
    bucket.take(100)
    assert.strictEqual(bucket.refused, 3)
    bucket.take(1000)
    assert.strictEqual(bucket.refused, 0)
  })

  it("says when to come back, and is right", () => {
    for (const rate of [0.5, 3, 7, 20, 1000]) {
      const bucket = new TokenBucket(rate, 1, 0)
      bucket.take(0)
      const wait = bucket.take(0)
      assert.strictEqual(bucket.take(wait), 0, `rate ${rate}`)
    }
  })
})

/** The texts in whole, unmasked text frames (RFC 6455 §5.2), with the shortest form of each length. */
const readFrames = (bytes: Buffer) => {
  const texts: Array<string> = []
  for (let at = 0; at < bytes.length; ) {
    assert.strictEqual(bytes[at], 0x81)
    const short = bytes[at + 1] ?? 0
    const [header, length] =
      short < 126
        ? [2, short]
        : short === 126
          ? [4, bytes.readUInt16BE(at + 2)]
          : [10, Number(bytes.readBigUInt64BE(at + 2))]
    assert.isTrue(header === 2 || length >= (header === 4 ? 126 : 65_536))
    texts.push(bytes.toString("utf8", at + header, at + header + length))
    at += header + length
  }
  return texts
}

describe("a frame", () => {
  it("is read as the text that it was made of, at every border of its length", () => {
    for (const length of [0, 1, 125, 126, 127, 65_535, 65_536, 200_000]) {
      const text = "x".repeat(length)
      assert.deepStrictEqual(readFrames(encodeFrame(text)), [text], String(length))
    }
  })

  it("is measured in bytes", () => {
    for (const text of ["ä".repeat(63), "€".repeat(42), "😀".repeat(16_384), "\u0000\u2028"]) {
      assert.deepStrictEqual(readFrames(encodeFrame(text)), [text])
    }
  })

  it("may stand behind another in one write", () => {
    const texts = ["one", "two".repeat(100), ""]
    assert.deepStrictEqual(readFrames(Buffer.concat(texts.map(encodeFrame))), texts)
  })
})

describe("the depth of JSON", () => {
  const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth)

  it("is told without parsing", () => {
    assert.isFalse(deeperThan(nested(32), 32))
    assert.isTrue(deeperThan(nested(33), 32))
    assert.isFalse(deeperThan(`{"a":${nested(31)}}`, 32))
    assert.isTrue(deeperThan(`{"a":${nested(32)}}`, 32))
    assert.isFalse(deeperThan(`[${Array.from({ length: 1000 }, () => "[]").join()}]`, 2))
    assert.isTrue(deeperThan("[".repeat(1_000_000), 32))
  })

  it("does not count what stands in strings", () => {
    assert.isFalse(deeperThan(JSON.stringify("[".repeat(100)), 1))
    assert.isFalse(deeperThan(JSON.stringify({ 'a"[{': ['\\"[[[', "\\", "]]"] }), 2))
    assert.isTrue(deeperThan(`["\\\\",[["\\""]]]`, 2))
    assert.isFalse(deeperThan(`"[[[[`, 1))
  })

  it("agrees with a parser on random JSON", () => {
    const random = randomOf(1)
    const make = (depth: number): unknown =>
      depth === 0 || random() < 0.2
        ? '"\\[{'.repeat(Math.floor(random() * 3))
        : random() < 0.5
          ? Array.from({ length: Math.floor(random() * 4) }, () => make(depth - 1))
          : Object.fromEntries(Array.from({ length: Math.floor(random() * 4) }, (_, n) => [`[${n}"`, make(depth - 1)]))
    const depthOf = (value: unknown): number =>
      typeof value === "object" && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0
    for (let n = 0; n < 500; n++) {
      const value = make(6)
      const depth = depthOf(value)
      const json = JSON.stringify(value)
      assert.isFalse(deeperThan(json, depth))
      if (depth > 0) assert.isTrue(deeperThan(json, depth - 1))
    }
  })
})

const conversationId = ConversationId.make("018f0000-0000-7000-8000-000000000001")

const frame = (seq: number) =>
  new Frame({ event: "message.created", conversationId, seq, except: null, refers: null, json: String(seq) })

/** A cursor whose follower takes what `takes` says, and what it took. */
const following = (takes: (seq: number) => boolean = () => true) => {
  const taken: Array<number> = []
  const follower: Follower = {
    userId: UserId.make("018f0000-0000-7000-8000-000000000002"),
    deliver: ({ seq }) => takes(seq) && taken.push(seq) > 0,
    offer: () => true
  }
  return { cursor: new Cursor(conversationId, follower), taken }
}

describe("a cursor", () => {
  it("holds events until it is released, and hands on those that are next", () => {
    const { cursor, taken } = following()
    for (const seq of [5, 6, 7]) cursor.receive(frame(seq))
    assert.deepStrictEqual(taken, [])
    cursor.nextSeq = 6
    assert.isTrue(cursor.release())
    assert.isTrue(cursor.live)
    cursor.receive(frame(8))
    assert.deepStrictEqual(taken, [6, 7, 8])
  })

  it("takes each event once, and none out of turn", () => {
    const { cursor, taken } = following()
    cursor.nextSeq = 3
    cursor.release()
    for (const seq of [3, 3, 2, 5, 4, 4, 1]) cursor.receive(frame(seq))
    assert.deepStrictEqual(taken, [3, 4])
  })

  it("is not released over a hole", () => {
    const { cursor, taken } = following()
    cursor.receive(frame(9))
    cursor.nextSeq = 7
    assert.isFalse(cursor.release())
    assert.isFalse(cursor.live)
    // What was read meanwhile closes it.
    cursor.receive(frame(10))
    cursor.nextSeq = 10
    assert.isTrue(cursor.release())
    assert.deepStrictEqual(taken, [10])
  })

  it("holds at most 256 events, and then asks for the log", () => {
    const { cursor, taken } = following()
    for (let seq = 1; seq <= 300; seq++) cursor.receive(frame(seq))
    cursor.nextSeq = 1
    assert.isFalse(cursor.release())
    assert.deepStrictEqual(
      taken,
      Array.from({ length: 256 }, (_, n) => n + 1)
    )
    assert.strictEqual(cursor.nextSeq, 257)
    cursor.nextSeq = 301
    assert.isTrue(cursor.release())
  })

  it("goes back to holding when its follower cannot take one, and starts there again", () => {
    let open = true
    const { cursor, taken } = following(() => open)
    cursor.nextSeq = 1
    cursor.release()
    cursor.receive(frame(1))
    open = false
    cursor.receive(frame(2))
    cursor.receive(frame(3))
    assert.isFalse(cursor.live)
    assert.strictEqual(cursor.nextSeq, 2)
    open = true
    // 2 was not kept: it must be read.
    assert.isFalse(cursor.release())
    cursor.nextSeq = 4
    assert.isTrue(cursor.release())
    cursor.receive(frame(4))
    assert.deepStrictEqual(taken, [1, 4])
  })
})

/** Both ends of a TCP connection. */
const connection = Effect.acquireRelease(
  Effect.promise(async () => {
    const server = createServer()
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    const address = server.address()
    const accepted = once(server, "connection")
    const client = connect(typeof address === "object" && address !== null ? address.port : 0, "127.0.0.1")
    const [ours]: Array<Socket> = await accepted
    server.close()
    if (ours === undefined) throw new Error("no connection")
    return { ours, client }
  }),
  ({ client, ours }) =>
    Effect.sync(() => {
      client.destroy()
      ours.destroy()
    })
)

const received = (client: Socket, bytes: number) =>
  Effect.callback<Buffer>((resume) => {
    const chunks: Array<Buffer> = []
    let length = 0
    client.on("data", (chunk) => {
      chunks.push(chunk)
      length += chunk.length
      if (length >= bytes) resume(Effect.succeed(Buffer.concat(chunks)))
    })
    client.resume()
  })

describe("an outbox", () => {
  it.live("writes what is pushed in its order, once a tick", () =>
    Effect.gen(function* () {
      const { client, ours } = yield* connection
      const outbox = new Outbox(ours, { bytes: 1000, frames: 100 })
      outbox.push(Buffer.from("a"))
      outbox.push(Buffer.from("bc"))
      assert.strictEqual(ours.writableLength + ours.bytesWritten, 0)
      assert.strictEqual(outbox.load, 0.02)
      assert.strictEqual(String(yield* received(client, 3)), "abc")
      assert.strictEqual(outbox.load, 0)
    })
  )

  it.live("is not filled by a burst within one tick that the kernel takes", () =>
    Effect.gen(function* () {
      const { client, ours } = yield* connection
      const outbox = new Outbox(ours, { bytes: 1000, frames: 8 })
      for (let n = 0; n < 100; n++) outbox.push(Buffer.alloc(100, n))
      assert.isBelow(outbox.load, 1)
      const bytes = yield* received(client, 10_000)
      assert.deepStrictEqual(bytes, Buffer.concat(Array.from({ length: 100 }, (_, n) => Buffer.alloc(100, n))))
    })
  )

  it.live("fills when the other side does not read, tells for how long, and resumes who waits for room", () =>
    Effect.gen(function* () {
      const { client, ours } = yield* connection
      client.pause()
      const outbox = new Outbox(ours, { bytes: 1_000_000, frames: 1000 })
      let pushed = 0
      const piece = Buffer.alloc(100_000, "x")
      while (outbox.load < 1) {
        for (let n = 0; n < 5 && outbox.load < 1; n++) {
          outbox.push(piece)
          pushed += piece.length
        }
        yield* Effect.sleep(1)
      }
      // What waits is bounded, whatever the kernel took.
      assert.isBelow(ours.writableLength, 300_000)
      assert.strictEqual(outbox.blockedFor(1000), 0)
      assert.strictEqual(outbox.blockedFor(4000), 3000)
      const order: Array<number> = []
      const room = Effect.callback<void>((resume) => {
        outbox.onceBelow(0.1, () => {
          order.push(0.1)
          resume(Effect.void)
        })
        outbox.onceBelow(0.5, () => order.push(0.5))
      })
      assert.deepStrictEqual(order, [])
      const [, bytes] = yield* Effect.all([room, received(client, pushed)], { concurrency: 2 })
      assert.deepStrictEqual(order.sort(), [0.1, 0.5])
      assert.strictEqual(bytes.length, pushed)
      assert.strictEqual(outbox.blockedFor(9000), 0)
      assert.strictEqual(outbox.load, 0)
      outbox.onceBelow(0.1, () => order.push(1))
      assert.deepStrictEqual(order, [0.1, 0.5, 1])
    })
  )

  it.live("counts one large frame as a quarter at most, so that nobody is slow for having asked for it", () =>
    Effect.gen(function* () {
      const { client, ours } = yield* connection
      client.pause()
      const outbox = new Outbox(ours, { bytes: 1000, frames: 100 })
      outbox.push(Buffer.alloc(10_000_000))
      assert.isAtMost(outbox.load, 0.25)
      assert.isAtMost(outbox.loadWith(10_000_000), 0.5)
      outbox.push(Buffer.alloc(100))
      assert.strictEqual((yield* received(client, 10_000_100)).length, 10_000_100)
    })
  )

  it.live("forgets what is not written yet", () =>
    Effect.gen(function* () {
      const { client, ours } = yield* connection
      const outbox = new Outbox(ours, { bytes: 1000, frames: 100 })
      outbox.push(Buffer.from("never"))
      outbox.discard()
      outbox.push(Buffer.from("now"))
      assert.strictEqual(String(yield* received(client, 3)), "now")
    })
  )

  it.live("writes nothing to a connection that has ended", () =>
    Effect.gen(function* () {
      const { client, ours } = yield* connection
      const errors: Array<unknown> = []
      ours.on("error", (error) => errors.push(error))
      const outbox = new Outbox(ours, { bytes: 1000, frames: 100 })
      outbox.push(Buffer.from("late"))
      ours.end()
      client.resume()
      yield* Effect.promise(() => once(client, "end"))
      outbox.flush()
      assert.deepStrictEqual(errors, [])
    })
  )
})
