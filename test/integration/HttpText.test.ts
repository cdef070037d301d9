import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { fakeService, HttpService, newcomer } from "../support/HttpService.ts"

layer(fakeService(), { excludeTestServices: true })("texts, times and emoji that clients send", (it) => {
  it.effect("are refused with the name of the field where they show nothing, break a line, or do not exist", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const [ann, bob] = [yield* newcomer("ann"), yield* newcomer("bob")]
      const made = yield* ask("/v1/conversations", { token: ann.token, json: { kind: "dm", userId: bob.id } })
      const conversationId = String(made.json.id)
      const dm = `/v1/conversations/${conversationId}`
      const poll = (change: object) => ({
        clientMessageId: "poll",
        type: "poll",
        body: "",
        payload: { question: "Where?", options: ["here", "there"], ...change }
      })
      const group = { kind: "group", title: "Crew", memberIds: [] }
      const person = { email: "cy@example.org", username: "cy", displayName: "Cy", password: "correct horse" }
      const scheduled = { conversationId, body: "later" }
      const search = (query: Record<string, string>) =>
        `/v1/search/messages?${new URLSearchParams({ query: "x", ...query })}`
      const wrong: ReadonlyArray<readonly [method: string, path: string, json: object | undefined, field: string]> = [
        ["POST", "/v1/auth/register", { ...person, displayName: "Cy\u202e" }, "displayName"],
        ["PATCH", "/v1/users/me", { displayName: "\u3164" }, "displayName"],
        ["PATCH", "/v1/users/me", { displayName: "Ann\nLee" }, "displayName"],
        ["POST", "/v1/conversations", { ...group, title: "\u200b" }, "title"],
        ["POST", "/v1/conversations", { ...group, title: "Crew\u2067" }, "title"],
        ["POST", `${dm}/messages`, { clientMessageId: "a", body: "\u2800" }, "body"],
        ["POST", `${dm}/messages`, { clientMessageId: "b", body: " \u200d\ufe0f\u0301" }, "body"],
        ["POST", `${dm}/messages`, poll({ options: ["here", "\u200b"] }), "payload.options.1"],
        ["POST", `${dm}/messages`, poll({ closesAt: "0000-01-01T00:00:00Z" }), "payload.closesAt"],
        ["POST", `${dm}/messages`, poll({ closesAt: "2027-02-30T10:00:00Z" }), "payload.closesAt"],
        ["POST", "/v1/scheduled-messages", { ...scheduled, sendAt: "2027-02-30T10:00:00Z" }, "sendAt"],
        ["POST", "/v1/scheduled-messages", { ...scheduled, sendAt: "2027-01-31T24:00:00Z" }, "sendAt"],
        ["PATCH", `${dm}/settings`, { mutedUntil: "2027-01-31T10:00:00+99:99" }, "mutedUntil"],
        ["PATCH", `${dm}/settings`, { mutedUntil: "0000-01-01T00:00:00Z" }, "mutedUntil"],
        ["GET", search({ before: "2027-04-31T10:00:00Z" }), undefined, "before"],
        ["GET", search({ after: "2027-01-31T10:00:00+24:00" }), undefined, "after"]
      ]
      for (const [method, path, json, field] of wrong) {
        const { problem, status } = yield* ask(path, { method, token: ann.token, ...(json !== undefined && { json }) })
        assert.deepStrictEqual([status, problem.errors?.map((error) => error.path)], [400, [field]], path)
      }

      const sent = yield* ask(`${dm}/messages`, {
        token: ann.token,
        json: { ...poll({ closesAt: "2090-01-31T13:00+01:00" }), body: "two\nlines \u202eand marks" }
      })
      assert.strictEqual(sent.status, 201)
      assert.nestedPropertyVal(sent.json, "message.payload.closesAt", "2090-01-31T12:00:00.000Z")
      const reactions = `${dm}/messages/${(sent.json.message as { readonly id: string }).id}/reactions`
      const react = (user: { readonly token: string }, emoji: string) =>
        ask(`${reactions}/${encodeURIComponent(emoji)}`, { method: "PUT", token: user.token })
      for (const emoji of ["❤‍🔥", "🏳‍🌈", "1⃣", "🕵‍♂"]) {
        yield* react(ann, emoji)
        yield* react(bob, emoji.replace(/^./u, "$&\uFE0F"))
      }
      const { json } = yield* ask(`${dm}/messages`, { token: ann.token })
      assert.deepNestedInclude(json, {
        "items[0].reactions": ["❤️‍🔥", "🏳️‍🌈", "1️⃣", "🕵️‍♂️"].map((emoji) => ({ emoji, count: 2, me: true }))
      })
    })
  )
})
