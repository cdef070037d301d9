import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { HttpServerRequest } from "effect/http"
import { makeBodyCheck } from "../../src/http/edge/JsonBodyCheck.ts"
import { AddressLimit } from "../../src/services/platform/load/AddressLimit.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"
import { countTurns } from "../support/Turns.ts"

const requestOf = (bytes: number) => {
  const request = new Request("http://localhost/", { method: "POST", body: JSON.stringify("x".repeat(bytes)) })
  return HttpServerRequest.fromWeb(request)
}

const layer = AddressLimit.layer.pipe(Layer.provideMerge(SettingsMemory.layerMemory()))

/** A request with a body that comes in chunks and never ends by itself, and whether it is being read. */
const endless = () => {
  const state = { isRead: false, end: () => {} }
  const body = new ReadableStream<Uint8Array>(
    {
      pull: (controller) => {
        state.isRead = true
        return new Promise((resolve) => {
          state.end = () => {
            controller.close()
            resolve()
          }
        })
      }
    },
    { highWaterMark: 0 }
  )
  const headers = { "transfer-encoding": "chunked", "content-type": "application/json" }
  const request = new Request("http://localhost/", { method: "POST", body, duplex: "half", headers })
  return { state, request: HttpServerRequest.fromWeb(request) }
}

it.live(
  "eight bodies without a length are read of an address at a time, 64 wait, and none while it owes for others",
  () =>
    Effect.gen(function* () {
      const check = yield* makeBodyCheck(/json/, "application/json")
      const bodies = Array.from({ length: 80 }, endless)
      const refused = { total: 0 }
      const begin = ({ request }: (typeof bodies)[number]) =>
        check.pipe(
          Effect.provideService(HttpServerRequest.HttpServerRequest, request),
          Effect.catchTag("RateLimited", () => Effect.sync(() => refused.total++)),
          Effect.forkChild({ startImmediately: true })
        )
      const fibers = yield* Effect.forEach(bodies, begin)
      const areRead = (count: number) =>
        Effect.repeat(Effect.sleep("1 millis"), {
          until: () => Effect.sync(() => bodies.filter(({ state }) => state.isRead).length === count)
        })
      yield* areRead(8)
      assert.strictEqual(refused.total, 8)
      bodies[0]?.state.end()
      yield* areRead(9)
      yield* Fiber.interruptAll(fibers)

      const addresses = yield* AddressLimit
      addresses.read("unknown", 10_000_000)
      const later = endless()
      yield* begin(later)
      assert.strictEqual(refused.total, 9)
      assert.isFalse(later.state.isRead)
    }).pipe(Effect.provide(layer))
)

it.live("large bodies that arrive together are parsed in turns of the event loop of their own", () =>
  Effect.gen(function* () {
    const check = yield* makeBodyCheck(/json|text/, "application/json")
    const count = yield* countTurns
    /** The turns in which so many bodies could be parsed. */
    const parsedIn = (bytes: number) =>
      Effect.forEach(
        Array.from({ length: 8 }, () => requestOf(bytes)),
        (request) =>
          check.pipe(
            Effect.provideService(HttpServerRequest.HttpServerRequest, request),
            Effect.map(() => count.turns)
          ),
        { concurrency: "unbounded" }
      )
    const [large, small] = [yield* parsedIn(20_000), yield* parsedIn(1000)]
    assert.lengthOf(new Set(large), 8)
    assert.isBelow(new Set(small).size, 8)
  }).pipe(Effect.scoped, Effect.provide(layer))
)
