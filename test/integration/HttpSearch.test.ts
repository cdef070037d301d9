import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { fakeService, HttpService, newcomer } from "../support/HttpService.ts"

layer(fakeService({ limits: { pageSize: 3 } }), { excludeTestServices: true })("search", (it) => {
  it.effect("finds by words and filters, page by page, and refuses invalid queries", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const [ann, bob] = [yield* newcomer("ann"), yield* newcomer("bob")]
      const made = yield* ask("/v1/conversations", { token: ann.token, json: { kind: "dm", userId: bob.id } })
      const id = String(made.json.id)
      for (const body of ["one buoy", "two buoys", "a buoy & a bell"]) {
        const json = { clientMessageId: body.replaceAll(" ", "-"), body }
        yield* ask(`/v1/conversations/${id}/messages`, { token: ann.token, json })
      }
      const search = (query: Record<string, string>) =>
        ask(`/v1/search/messages?${new URLSearchParams(query)}`, { token: bob.token })
      const bodies = (json: Record<string, unknown>) =>
        (json.items as ReadonlyArray<{ readonly body: string }>).map(({ body }) => body)

      const first = yield* search({ query: "buoy", limit: "1" })
      assert.deepStrictEqual([first.status, bodies(first.json)], [200, ["a buoy & a bell"]])
      const second = yield* search({ query: "buoy", limit: "2", cursor: String(first.json.nextCursor) })
      assert.deepStrictEqual(bodies(second.json), ["two buoys", "one buoy"])
      assert.notProperty(second.json, "nextCursor")
      const mine = {
        conversationId: id,
        senderId: ann.id,
        after: "2020-01-01T00:00:00Z",
        before: "2999-01-01T00:00:00+02:00"
      }
      assert.lengthOf(bodies((yield* search({ query: "buoy", ...mine })).json), 3)
      assert.lengthOf(bodies((yield* search({ query: '"buoy"', ...mine })).json), 2)
      assert.lengthOf(bodies((yield* search({ query: "buoy", after: "2999-01-01T00:00:00.000Z" })).json), 0)
      assert.strictEqual((yield* search({ query: "buoy", conversationId: "another" })).status, 404)
      for (const [field, value] of [
        ["query", ""],
        ["query", "-buoy"],
        ["query", "x".repeat(10_000)],
        ["query", "a\u0000b"],
        ["before", "yesterday"],
        ["after", "7"],
        ["limit", "4"],
        ["cursor", "x"]
      ] as const) {
        const { problem, status } = yield* search({ query: "buoy", [field]: value })
        assert.deepStrictEqual([status, problem.errors?.[0]?.path], [400, field])
      }
      const { json } = yield* ask("/openapi.json")
      assert.include(JSON.stringify(json), '"operationId":"message.search"')
    })
  )
})
