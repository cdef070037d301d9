import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { HttpServerRequest } from "effect/http"
import { makeBodyCheck } from "../../src/http/edge/JsonBodyCheck.ts"
import { AddressLimit } from "../../src/services/platform/load/AddressLimit.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"

/** Counts the turns of the event loop until the scope closes. */
const countTurns = Effect.acquireRelease(
  Effect.sync(() => {
    const count = { turns: 0, next: setImmediate(() => {}) }
    const again = () => {
      count.turns++
      count.next = setImmediate(again)
    }
    again()
    return count
  }),
  ({ next }) => Effect.sync(() => clearImmediate(next))
)

const requestOf = (bytes: number) => {
  const request = new Request("http://localhost/", { method: "POST", body: JSON.stringify("x".repeat(bytes)) })
  return HttpServerRequest.fromWeb(request)
}

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
  }).pipe(Effect.scoped, Effect.provide(AddressLimit.layer.pipe(Layer.provideMerge(SettingsMemory.layerMemory()))))
)
