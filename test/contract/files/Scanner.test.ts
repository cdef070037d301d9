import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { avatarPath } from "../../../src/domain/Avatar.ts"
import * as ScannerLayer from "../../../src/layers/scanner/layer.ts"
import { Attachments } from "../../../src/services/files/Attachments.ts"
import { Avatars } from "../../../src/services/files/Avatars.ts"
import { Blobs } from "../../../src/services/files/Blobs.ts"
import { Scanner } from "../../../src/services/files/Scanner.ts"
import * as AttachmentsMemory from "../../../src/testing/memory/Attachments.ts"
import * as AvatarsMemory from "../../../src/testing/memory/Avatars.ts"
import * as ScannerMemory from "../../../src/testing/memory/Scanner.ts"
import * as SettingsMemory from "../../../src/testing/memory/Settings.ts"
import { chat, outcome, person, refused } from "../../support/Chat.ts"
import { startClamdServer, startHttpScanner, virus } from "../../support/Scanners.ts"
import { plainSquares } from "./Avatars.contract.ts"
import { scannerContract } from "./Scanner.contract.ts"

/** The scanner that the setting names. */
const scannerAt = (scanner: string) =>
  ScannerLayer.layer.pipe(Layer.provide(SettingsMemory.layerMemory({ files: { scanner } })))

const socket = Effect.acquireRelease(
  Effect.sync(() => join(mkdtempSync(join(tmpdir(), "chat-clamd-")), "socket")),
  (path) => Effect.sync(() => rmSync(join(path, ".."), { recursive: true, force: true }))
)

describe("fake", () => scannerContract(ScannerMemory.layerMemory(virus)))
describe("clamd over TCP", () =>
  scannerContract(Layer.unwrap(Effect.map(startClamdServer(), (port) => scannerAt(`tcp://127.0.0.1:${port}`)))))
describe("clamd at a unix socket", () =>
  scannerContract(
    Layer.unwrap(Effect.flatMap(socket, (path) => Effect.as(startClamdServer(path), scannerAt(`unix:${path}`))))
  ))
describe("a server for HTTP", () => scannerContract(Layer.unwrap(Effect.map(startHttpScanner(), scannerAt))))

const reasonAt = (url: string, content: Stream.Stream<Uint8Array> = Stream.make(Buffer.from("x"))) =>
  Effect.flatMap(Scanner, ({ scan }) => Effect.flip(scan(content))).pipe(
    Effect.map(({ reason }) => reason),
    Effect.provide(scannerAt(url))
  )

describe("a scanner", () => {
  it.live("that cannot be reached, takes no such file or answers something else has a reason", () =>
    Effect.gen(function* () {
      assert.match(yield* reasonAt("tcp://127.0.0.1:1"), /ECONNREFUSED/)
      assert.match(yield* reasonAt("unix:/nowhere/clamd"), /ENOENT/)
      assert.match(yield* reasonAt("http://127.0.0.1:1/scan"), /./)
      assert.match(yield* reasonAt(yield* startHttpScanner(500)), /500/)
      const large = Stream.fromIterable([...Array(50)].map(() => Buffer.alloc(100_000)))
      const port = yield* startClamdServer()
      assert.match(yield* reasonAt(`tcp://127.0.0.1:${port}`, large), /size limit exceeded/)
    }).pipe(Effect.scoped)
  )
})

/** Uploads something harmless and a virus. */
const uploads = Effect.gen(function* () {
  const { upload, use } = yield* Attachments
  const ann = yield* person
  const harmless = yield* outcome(upload(ann, "harmless", Stream.make(Buffer.from("hello"))))
  const infected = yield* refused(upload(ann, "infected", Stream.make(virus.bytes)))
  return { harmless, infected, ...(yield* use(ann)) }
})

const withScanner = (scanner: Layer.Layer<never>, files: { readonly scannerOnError?: "refuse" | "accept" } = {}) =>
  Layer.fresh(AttachmentsMemory.layerMemory).pipe(
    Layer.provide(Layer.merge(scanner, SettingsMemory.layerMemory({ files }))),
    Layer.provideMerge(chat.fake)
  )

describe("an upload", () => {
  it.live("in which the scanner finds something is refused, and leaves nothing", () =>
    Effect.gen(function* () {
      assert.deepInclude(yield* uploads, { harmless: "ok", infected: "file", files: 1 })
    }).pipe(Effect.provide(withScanner(ScannerMemory.layerMemory(virus))))
  )

  const nobody = scannerAt("tcp://127.0.0.1:1")
  it.live("while the scanner does not answer is refused, or stored if the setting says so", () =>
    Effect.gen(function* () {
      const refusing = yield* Effect.provide(uploads, withScanner(nobody))
      assert.deepInclude(refusing, { harmless: "Unavailable", infected: "Unavailable", files: 0 })
      const accepting = yield* Effect.provide(uploads, withScanner(nobody, { scannerOnError: "accept" }))
      assert.deepInclude(accepting, { harmless: "ok", infected: "ok", files: 2 })
    })
  )
})

describe("a picture of a user", () => {
  it.live("is scanned as it was uploaded, and kept as its squares only", () =>
    Effect.gen(function* () {
      const { store } = yield* Avatars
      const ann = yield* person
      assert.strictEqual(yield* refused(store(ann, null, Stream.make(virus.bytes))), "file")
      const path = yield* store(ann, null, Stream.make(Buffer.from("harmless")))
      const key = path.slice(avatarPath("").length)
      assert.strictEqual(yield* outcome(Avatars.use(({ read }) => read(key, 512))), "ok")
      assert.strictEqual(yield* outcome(Blobs.use(({ read }) => read(key))), "NoBlob")
    }).pipe(
      Effect.provide(
        Layer.fresh(AvatarsMemory.layerMemory).pipe(
          Layer.provide(Layer.merge(ScannerMemory.layerMemory(virus), plainSquares)),
          Layer.provideMerge(chat.fake)
        )
      )
    )
  )
})
