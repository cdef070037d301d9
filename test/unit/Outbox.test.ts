import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"
import { assert, describe, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import { encodeFrame, joinFrames } from "../../src/realtime/TextFrame.ts"
import { batchBytes, Outbox } from "../../src/ws/Outbox.ts"

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

describe("joined frames", () => {
  it("are one frame with the array of their values, at every border of their lengths", () => {
    for (const lengths of [[0], [0, 0], [121, 0], [122, 0], [65_520, 6], [126, 65_536], [70_000, 1, 300]]) {
      const texts = lengths.map((length) => JSON.stringify("x".repeat(length)))
      const [joined, ...more] = readFrames(joinFrames(texts.map(encodeFrame)))
      assert.deepStrictEqual(more, [])
      assert.strictEqual(joined, `[${texts.join()}]`, String(lengths))
    }
  })

  it("keep the bytes of their values", () => {
    const texts = ['"€😀"', '{"a":"\\u0000"}']
    assert.deepStrictEqual(readFrames(joinFrames(texts.map(encodeFrame))), [`[${texts.join()}]`])
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
  it.live("writes what was pushed, in order and once a tick", () =>
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

  const written = (count: number) =>
    Effect.map(
      Effect.forEach(Array.from({ length: count }), () => connection),
      (sockets) =>
        sockets.map(({ ours }) => {
          const writes: Array<string> = []
          vi.spyOn(ours, "write").mockImplementation((bytes) => writes.push(String(bytes)) > 0)
          return { writes, outbox: new Outbox(ours, { bytes: 1000, frames: 100 }) }
        })
    )

  const codeIsThrough = Effect.callback<void>((resume) => process.nextTick(() => resume(Effect.void)))
  const turn = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))

  it.live("waits for no turn of the event loop when few have something to send", () =>
    Effect.gen(function* () {
      const few = yield* written(8)
      for (const { outbox } of few) outbox.push(Buffer.from("a"))
      for (const { outbox } of few) outbox.push(Buffer.from("b"))
      yield* codeIsThrough
      assert.deepStrictEqual(
        few.map(({ writes }) => writes),
        few.map(() => ["ab"])
      )
    })
  )

  it.live("joins what comes within a turn when many have something to send", () =>
    Effect.gen(function* () {
      const many = yield* written(9)
      for (const { outbox } of many) outbox.push(Buffer.from("a"))
      yield* codeIsThrough
      yield* turn
      for (const { outbox } of many) outbox.push(Buffer.from("b"))
      yield* turn
      assert.deepStrictEqual(
        many.map(({ writes }) => writes),
        many.map(() => ["ab"])
      )
    })
  )

  for (const batches of [false, true]) {
    it.live(`joins the same frames once for all sockets, ${batches ? "as arrays" : "as they are"}`, () =>
      Effect.gen(function* () {
        const [x, y, z] = ["1", "2", "3"].map(encodeFrame)
        if (x === undefined || y === undefined || z === undefined) return yield* Effect.die("no frames")
        const join = batches ? joinFrames : Buffer.concat
        const written: Array<unknown> = []
        const lists = [
          [x, y],
          [x, y],
          [x, y, z],
          [z, y],
          [z, y]
        ]
        const sockets = yield* Effect.forEach(lists, () => connection)
        for (const [index, { ours }] of sockets.entries()) {
          vi.spyOn(ours, "write").mockImplementation((bytes) => written.push(bytes) > 0)
          const outbox = new Outbox(ours, { bytes: 1000, frames: 100 })
          outbox.batches = batches
          for (const frame of lists[index] ?? []) outbox.push(frame)
        }
        yield* codeIsThrough
        assert.deepStrictEqual(written, [join([x, y]), join([x, y]), join([x, y, z]), join([z, y]), join([z, y])])
        assert.deepStrictEqual(new Set(written).size, 3)
      })
    )
  }

  it.live("is not filled by a burst that the kernel accepts within one tick", () =>
    Effect.gen(function* () {
      const { client, ours } = yield* connection
      const outbox = new Outbox(ours, { bytes: 1000, frames: 8 })
      for (let n = 0; n < 100; n++) outbox.push(Buffer.alloc(100, n))
      assert.isBelow(outbox.load, 1)
      const bytes = yield* received(client, 10_000)
      assert.deepStrictEqual(bytes, Buffer.concat(Array.from({ length: 100 }, (_, n) => Buffer.alloc(100, n))))
    })
  )

  it.live("fills when the other side does not read, says for how long, and resumes callers that wait for room", () =>
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
      // The waiting bytes are bounded, however many the kernel accepted.
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

  it.live("counts one large frame as a quarter at most, so that a large answer makes nobody a slow consumer", () =>
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

  it.live("joins frames that leave together into arrays of up to 64 KiB, for a client with the capability", () =>
    Effect.gen(function* () {
      const { client, ours } = yield* connection
      const outbox = new Outbox(ours, { bytes: 10_000_000, frames: 1000 })
      outbox.batches = true
      const pushed = [1, 2, "x".repeat(60_000), "y".repeat(6000), "z".repeat(batchBytes), 3].map((value) =>
        encodeFrame(JSON.stringify(value))
      )
      for (const frame of pushed) outbox.push(frame)
      const sizes = [3, 1, 1, 1]
      const length = pushed.reduce((sum, frame) => sum + frame.length, 0)
      // The first three are joined: the array saves as many bytes of headers as its brackets and commas take.
      const frames = readFrames(yield* received(client, length)).map((text): unknown => JSON.parse(text))
      assert.deepStrictEqual(
        frames.map((frame) => (Array.isArray(frame) ? frame.length : 1)),
        sizes
      )
      assert.deepStrictEqual(
        frames
          .flat()
          .map(String)
          .map((text) => text[0]),
        ["1", "2", "x", "y", "z", "3"]
      )
      assert.strictEqual(outbox.load, 0)
      outbox.push(encodeFrame("4"))
      assert.deepStrictEqual(readFrames(yield* received(client, 3)), ["4"])
    })
  )

  it.live("drops frames that are not written yet", () =>
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
