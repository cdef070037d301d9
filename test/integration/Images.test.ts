import { randomUUID } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it, layer } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema, Stream } from "effect"
import sharp from "sharp"
import { Attachment } from "../../src/domain/Attachment.ts"
import { UserId } from "../../src/domain/Ids.ts"
import { HttpRoutes } from "../../src/http/server/Server.ts"
import * as ImageProcess from "../../src/layers/images/ImageProcess.ts"
import { Images } from "../../src/services/files/Images.ts"
import { fakeServices } from "../../src/testing/FakeServices.ts"
import * as AttachmentsMemory from "../../src/testing/memory/Attachments.ts"
import { formOf } from "../support/Files.ts"
import { HttpService, httpService, newcomer } from "../support/HttpService.ts"

const service = httpService(HttpRoutes).pipe(
  Layer.provideMerge(Layer.fresh(AttachmentsMemory.layerMemory).pipe(Layer.provide(ImageProcess.layer))),
  Layer.provideMerge(fakeServices()),
  Layer.provide(NodeServices.layer)
)

const decode = Schema.decodeUnknownSync(Attachment)

/** A picture, half red and half blue, of these sides. */
const picture = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: "red" } }).composite([
    { input: { create: { width: width / 2, height, channels: 3, background: "blue" } }, gravity: "west" }
  ])

/** Silence of so many seconds, as a WAV. */
const wavOf = (seconds: number) => {
  const [rate, header] = [8000, Buffer.alloc(44)]
  const size = seconds * rate
  header.write("RIFF", 0)
  header.writeUInt32LE(36 + size, 4)
  header.write("WAVEfmt ", 8)
  header.writeUInt32LE(16, 16)
  header.writeUInt16LE(1, 20)
  header.writeUInt16LE(1, 22)
  header.writeUInt32LE(rate, 24)
  header.writeUInt32LE(rate, 28)
  header.writeUInt16LE(1, 32)
  header.writeUInt16LE(8, 34)
  header.write("data", 36)
  header.writeUInt32LE(size, 40)
  return Buffer.concat([header, Buffer.alloc(size, 128)])
}

/** An element of EBML: its id in hexadecimal, its length, and its content. */
const element = (id: string, ...content: ReadonlyArray<Uint8Array>) => {
  const length = Buffer.alloc(8)
  length.writeBigUInt64BE((1n << 56n) | BigInt(content.reduce((sum, each) => sum + each.length, 0)))
  return Buffer.concat([Buffer.from(id, "hex"), length, ...content])
}

/** A WebM without sound or picture, which says that it lasts so many milliseconds. */
const webmOf = (milliseconds: number) => {
  const duration = Buffer.alloc(8)
  duration.writeDoubleBE(milliseconds)
  return Buffer.concat([
    element("1a45dfa3", element("4282", Buffer.from("webm"))),
    element("18538067", element("1549a966", element("2ad7b1", Buffer.from("0f4240", "hex")), element("4489", duration)))
  ])
}

const upload = Effect.fnUntraced(function* (token: string, bytes: Uint8Array) {
  const { ask } = yield* HttpService
  return yield* ask("/v1/attachments", { method: "POST", token, body: formOf(bytes, "photo.jpg") })
})

/** The bytes of a path. */
const bytesOf = (path: string, token: string) =>
  HttpService.use(({ url }) =>
    Effect.promise(async () => {
      const answer = await fetch(url + path, { headers: { authorization: `Bearer ${token}` } })
      return { status: answer.status, headers: answer.headers, bytes: Buffer.from(await answer.arrayBuffer()) }
    })
  )

/** The ids of the processes that this one has started to decode pictures. */
const decoders = () =>
  readdirSync("/proc").flatMap((name) => {
    try {
      const parent = /^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${name}/status`, "utf8"))?.[1]
      const isOne = readFileSync(`/proc/${name}/cmdline`, "utf8").includes("imageWorker")
      return Number(parent) === process.pid && isOne ? [Number(name)] : []
    } catch {
      return []
    }
  })

/** How long a process has worked, in ticks of the CPU. */
const ticksOf = (id: number) =>
  readFileSync(`/proc/${id}/stat`, "utf8")
    .split(" ")
    .slice(13, 15)
    .reduce((sum, each) => sum + Number(each), 0)

/** The idle decoder, and an effect that waits until it works. */
const idleDecoder = Effect.sync(() => {
  const [id = assert.fail("there is no decoder")] = decoders()
  const before = ticksOf(id)
  const works = Effect.sync(() => ticksOf(id) > before + 2)
  return { id, working: Effect.repeat(Effect.andThen(Effect.yieldNow, works), { until: (does) => does }) }
})

layer(service, { excludeTestServices: true })("a picture", (it) => {
  it.effect("gets upright thumbnails without metadata, its size and a placeholder", () =>
    Effect.gen(function* () {
      const { token } = yield* newcomer()
      const gps = { IFD3: { GPSLatitude: "52/1 31/1 0/1", GPSLatitudeRef: "N" }, IFD0: { Copyright: "planted" } }
      const turned = yield* Effect.promise(() =>
        picture(2000, 1000).jpeg().withExif(gps).withMetadata({ orientation: 6 }).toBuffer()
      )
      const attachment = decode((yield* upload(token, turned)).json)
      assert.deepInclude(attachment, { width: 1000, height: 2000, contentType: "image/jpeg" })
      assert.isAbove(Buffer.from(attachment.placeholder ?? "", "base64").length, 10)
      assert.deepStrictEqual(
        attachment.thumbnails.map(({ height, width }) => [width, height]),
        [
          [160, 320],
          [640, 1280]
        ]
      )
      for (const { height, size, url, width } of attachment.thumbnails) {
        const { bytes, headers } = yield* bytesOf(url, token)
        assert.strictEqual(headers.get("content-type"), "image/webp")
        assert.strictEqual(bytes.length, size)
        const made = yield* Effect.promise(() => sharp(bytes).metadata())
        assert.deepInclude(made, { width, height, format: "webp" })
        assert.isUndefined(made.exif)
        const top = yield* Effect.promise(() => sharp(bytes).extract({ left: 0, top: 0, width, height: 10 }).toBuffer())
        const { channels } = yield* Effect.promise(() => sharp(top).stats())
        assert.isAbove(channels[2]?.mean ?? 0, 200, "blue is on top")
      }
      assert.strictEqual((yield* bytesOf(attachment.url, token)).bytes.length, turned.length)
      const small = decode((yield* upload(token, yield* Effect.promise(() => picture(40, 20).png().toBuffer()))).json)
      assert.deepInclude(small, { width: 40, height: 20, thumbnails: [] })
      assert.strictEqual((yield* bytesOf(`${small.url}?thumbnail=320`, token)).status, 404)
      assert.strictEqual((yield* bytesOf(`${small.url}?thumbnail=1`, token)).status, 400)
      const stranger = yield* newcomer()
      for (const { url } of attachment.thumbnails) assert.strictEqual((yield* bytesOf(url, stranger.token)).status, 404)
    })
  )

  it.effect("that is animated has animated thumbnails", () =>
    Effect.gen(function* () {
      const { token } = yield* newcomer()
      const frames = ["red", "green", "blue"].map((background) => ({
        create: { width: 400, height: 200, channels: 3 as const, background }
      }))
      const pngs = yield* Effect.promise(() => Promise.all(frames.map((frame) => sharp(frame).png().toBuffer())))
      const gif = yield* Effect.promise(() =>
        sharp(pngs, { join: { animated: true } })
          .gif({ delay: [100, 200, 300], loop: 0 })
          .toBuffer()
      )
      const attachment = decode((yield* upload(token, gif)).json)
      assert.deepInclude(attachment, { width: 400, height: 200, contentType: "image/gif" })
      assert.deepInclude(attachment.thumbnails[0], { width: 320, height: 160 })
      const { bytes } = yield* bytesOf(`${attachment.url}?thumbnail=320`, token)
      const made = yield* Effect.promise(() => sharp(bytes, { animated: true }).metadata())
      assert.deepInclude(made, { format: "webp", pages: 3, pageHeight: 160, delay: [100, 200, 300] })
    })
  )

  it.effect("that is none, but a sound, has its duration, and is stored also when it is damaged", () =>
    Effect.gen(function* () {
      const { token } = yield* newcomer()
      const wav = wavOf(2.5)
      assert.deepInclude(decode((yield* upload(token, wav)).json), { contentType: "audio/wav", durationMs: 2500 })
      const damaged = Buffer.concat([wav.subarray(0, 12), Buffer.alloc(5000, 0xff)])
      assert.deepInclude(decode((yield* upload(token, damaged)).json), { contentType: "audio/wav", durationMs: null })
      assert.isNull(decode((yield* upload(token, Buffer.from("no sound"))).json).durationMs)
    })
  )

  it.effect("that is none, but a video, has no duration if what it says is none", () =>
    Effect.gen(function* () {
      const { token } = yield* newcomer()
      const durationOf = (milliseconds: number) =>
        Effect.map(upload(token, webmOf(milliseconds)), ({ json, status, text }) => {
          assert.strictEqual(status, 201, text)
          const { contentType, durationMs } = decode(json)
          assert.strictEqual(contentType, "video/webm")
          return durationMs
        })
      assert.strictEqual(yield* durationOf(2500), 2500)
      for (const lie of [-2500, 1e300, Number.POSITIVE_INFINITY, Number.NaN])
        assert.isNull(yield* durationOf(lie), String(lie))
    })
  )

  it.effect("that is damaged, lies about its size or is a bomb is refused, and the next one is not", () =>
    Effect.gen(function* () {
      const { token } = yield* newcomer()
      const good = yield* Effect.promise(() => picture(400, 400).png().toBuffer())
      const huge = Buffer.from(good)
      huge.writeUInt32BE(50_000, 16)
      huge.writeUInt32BE(50_000, 20)
      const bomb = yield* Effect.promise(() =>
        sharp({ create: { width: 9000, height: 9000, channels: 3, background: "red" } })
          .png()
          .toBuffer()
      )
      for (const bad of [huge, bomb, good.subarray(0, good.length / 2), good.subarray(0, 100)]) {
        const answer = yield* upload(token, bad)
        assert.strictEqual(answer.status, 400)
        assert.strictEqual(answer.problem.errors?.[0]?.path, "file")
      }
      const { ask } = yield* HttpService
      assert.deepInclude((yield* ask("/v1/users/me/storage", { token })).json, { files: 0 })
      assert.strictEqual((yield* upload(token, good)).status, 201)
    })
  )

  it.effect("whose decoder dies is refused", () =>
    Effect.gen(function* () {
      const { token } = yield* newcomer()
      // It takes far longer to decode than the process lives.
      const slow = yield* Effect.promise(() => picture(7000, 7000).webp({ effort: 0 }).toBuffer())
      const { id, working } = yield* idleDecoder
      const answer = yield* Effect.forkChild(upload(token, slow))
      yield* working
      process.kill(id, "SIGKILL")
      assert.strictEqual((yield* Fiber.join(answer)).status, 400)
    })
  )

  it.effect("whose upload is given up does no harm to the next one", () =>
    Effect.gen(function* () {
      const { token } = yield* newcomer()
      const [slow, good] = [
        yield* Effect.promise(() => picture(7000, 7000).webp({ effort: 0 }).toBuffer()),
        yield* Effect.promise(() => picture(400, 400).png().toBuffer())
      ]
      assert.strictEqual((yield* upload(token, good)).status, 201)
      const { working } = yield* idleDecoder
      const giveUp = new AbortController()
      const { url } = yield* HttpService
      const given = fetch(`${url}/v1/attachments`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}` },
        body: formOf(slow, "photo.webp"),
        signal: giveUp.signal
      })
      yield* working
      const next = yield* Effect.forkChild(upload(token, good))
      giveUp.abort()
      yield* Effect.promise(() => given.catch(() => {}))
      assert.strictEqual((yield* Fiber.join(next)).status, 201)
    })
  )

  it.effect("is decoded again after the process was killed", () =>
    Effect.gen(function* () {
      const { token } = yield* newcomer()
      const good = yield* Effect.promise(() => picture(400, 400).webp().toBuffer())
      assert.strictEqual((yield* upload(token, good)).status, 201)
      const before = decoders()
      assert.lengthOf(before, 1)
      for (const id of before) process.kill(id, "SIGKILL")
      yield* Effect.suspend(() => Effect.succeed(decoders())).pipe(Effect.repeat({ until: (ids) => ids.length === 0 }))
      for (let i = 0; i < 12; i++) assert.strictEqual((yield* upload(token, good)).status, 201)
      assert.lengthOf(decoders(), 1)
    })
  )
})

it.live("pictures of a user who uploads many do not keep those of others waiting", () =>
  Effect.gen(function* () {
    const images = yield* Images
    const [many, other] = [UserId.make(randomUUID()), UserId.make(randomUUID())]
    const [large, small] = yield* Effect.all([
      Effect.promise(() => picture(3000, 3000).png().toBuffer()),
      Effect.promise(() => picture(10, 10).png().toBuffer())
    ])
    const order: Array<string> = []
    const examine = (userId: UserId, bytes: Uint8Array, name: string) =>
      Effect.map(Effect.scoped(images.examine(userId, Stream.make(bytes))), () => void order.push(name))
    const flood = yield* Effect.forEach([1, 2, 3, 4, 5], (n) => Effect.forkChild(examine(many, large, `large ${n}`)))
    yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => Effect.sync(() => order.length > 0) })
    yield* examine(other, small, "small")
    assert.isBelow(order.indexOf("small"), 5)
    for (const fiber of flood) yield* Fiber.join(fiber)
  }).pipe(Effect.provide(ImageProcess.layer.pipe(Layer.provide(NodeServices.layer))))
)
