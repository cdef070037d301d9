import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { fakeService, HttpService, newcomer } from "../support/HttpService.ts"

layer(fakeService(), { excludeTestServices: true })("drafts and scheduled messages", (it) => {
  it.effect("answer with the same statuses as other resources", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const [ann, bob] = [yield* newcomer("ann"), yield* newcomer("bob")]
      const made = yield* ask("/v1/conversations", { token: ann.token, json: { kind: "dm", userId: bob.id } })
      const conversationId = String(made.json.id)
      const of = (method: string, path: string, json?: unknown, headers = {}) =>
        ask(path, { method, token: ann.token, headers, ...(json !== undefined && { json }) })
      const status = (method: string, path: string, json?: unknown) =>
        Effect.map(of(method, path, json), (answer) => answer.status)

      const draft = `/v1/conversations/${conversationId}/draft`
      assert.strictEqual(yield* status("PUT", draft, { body: "half" }), 204)
      assert.strictEqual(yield* status("PUT", draft, { body: " " }), 400)
      const { json: drafts } = yield* of("GET", "/v1/drafts")
      assert.nestedPropertyVal(drafts, "items[0].body", "half")
      assert.strictEqual(yield* status("DELETE", draft), 204)
      assert.strictEqual(yield* status("DELETE", draft), 204)
      assert.strictEqual(yield* status("DELETE", "/v1/conversations/another/draft"), 404)

      const scheduled = "/v1/scheduled-messages"
      const sendAt = "2099-01-01T00:00:00Z"
      assert.strictEqual(yield* status("POST", scheduled, { conversationId, sendAt, body: "far" }), 400)
      const near = new Date(Date.now() + 3_600_000).toISOString()
      const message = { conversationId, sendAt: near, body: "soon" }
      const created = yield* of("POST", scheduled, message, { "idempotency-key": "one" })
      assert.strictEqual(created.status, 201)
      assert.deepInclude(created.json, { ...message, status: "scheduled" })
      const again = yield* of("POST", scheduled, message, { "idempotency-key": "one" })
      assert.deepStrictEqual([again.status, again.json], [201, created.json])
      const path = `${scheduled}/${String(created.json.id)}`
      assert.deepStrictEqual((yield* of("GET", path)).json, created.json)
      assert.deepStrictEqual((yield* of("GET", scheduled)).json, { items: [created.json] })
      const changed = yield* of("PATCH", path, { body: "sooner" })
      assert.deepStrictEqual([changed.status, changed.json.body], [200, "sooner"])
      assert.strictEqual(yield* status("DELETE", path), 204)
      assert.deepStrictEqual([yield* status("GET", path), yield* status("DELETE", path)], [404, 404])
    })
  )
})
