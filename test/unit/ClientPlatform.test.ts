import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { whenBrowser } from "../../src/client/Platform.ts"

it.effect("the client hears that a page is shown again, until it is closed", () =>
  Effect.gen(function* () {
    const document = new EventTarget()
    Reflect.set(globalThis, "document", document)
    yield* Effect.addFinalizer(() => Effect.sync(() => Reflect.deleteProperty(globalThis, "document")))
    let wakes = 0
    const show = Effect.sync(() => void document.dispatchEvent(new Event("visibilitychange")))
    yield* Effect.scoped(
      Effect.gen(function* () {
        yield* whenBrowser(
          "visibilitychange",
          Effect.sync(() => void wakes++)
        )
        yield* show
        yield* show
      })
    )
    yield* show
    assert.strictEqual(wakes, 2)
  })
)
