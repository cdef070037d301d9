import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { KeyDocuments } from "../../src/services/identity/issuers/KeyDocuments.ts"
import { TestIssuer } from "../../src/testing/TestIssuer.ts"

type Answer = Parameters<TestIssuer["Service"]["answerWith"]>[0]

/** Why the document of an issuer that answers so cannot be had. */
const reason = Effect.fnUntraced(function* (answer: Answer) {
  const { answerWith, settings } = yield* TestIssuer
  const documents = yield* KeyDocuments
  answerWith(answer)
  const failure = yield* Effect.flip(documents.fetch(settings.jwksUri ?? ""))
  answerWith(undefined)
  assert.isObject(yield* documents.fetch(settings.jwksUri ?? ""), "and then it can be had again")
  return failure.reason
})

describe("the document of an issuer's keys", () => {
  it.effect("must be JSON of a bounded size, with status 200, from the very address", () =>
    Effect.gen(function* () {
      assert.include(
        yield* reason((_, response) => {
          response.statusCode = 500
          response.end("{}")
        }),
        "500"
      )
      assert.include(yield* reason((_, response) => response.end("<html>")), "no JSON")
      assert.include(yield* reason((_, response) => response.end(`"${"x".repeat(10_000_000)}"`)), "bytes")
      assert.isNotEmpty(yield* reason((request) => request.socket.destroy()))
      assert.isNotEmpty(
        yield* reason((_, response) => {
          response.writeHead(302, { location: "/elsewhere" })
          response.end()
        })
      )
    }).pipe(Effect.provide([TestIssuer.layer(), KeyDocuments.layer]))
  )

  it.effect("is given up after five seconds", () =>
    Effect.gen(function* () {
      const { answerWith, requests, settings } = yield* TestIssuer
      const documents = yield* KeyDocuments
      answerWith(() => {})
      const fetching = yield* Effect.forkChild(Effect.flip(documents.fetch(settings.jwksUri ?? "")))
      while (requests() === 0) yield* Effect.promise(() => new Promise(setImmediate))
      yield* TestClock.adjust("5 seconds")
      assert.include((yield* Fiber.join(fetching)).reason, "5 seconds")
    }).pipe(Effect.provide([TestIssuer.layer(), KeyDocuments.layer]))
  )
})
