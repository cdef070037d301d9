import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { openApiDocument } from "../../src/http/Docs.ts"
import { exampleOf } from "../../src/http/Examples.ts"
import { isRecord, type Json, makeJsonSchemas } from "../../src/http/JsonSchemas.ts"
import { Operations } from "../../src/rpc/Operations.ts"
import { TestService } from "../../src/testing/TestService.ts"
import { api, connect } from "../support/Client.ts"

const json = makeJsonSchemas()
const payloads = [...Operations.requests.values()].map((rpc) => {
  const schema = json.of(rpc.payloadSchema)
  const example = exampleOf(schema, json.components, false)
  return { op: rpc._tag, example: isRecord(example) && rpc.payloadSchema.ast._tag !== "Void" ? example : null }
})
const ofConversations = payloads.flatMap(({ example, op }) =>
  example !== null && "conversationId" in example ? [{ example, op }] : []
)

/** An example, but for what must be right to get as far as the question whose it is. */
const withIds = (example: Json, ids: Json): Json => ({
  ...example,
  ...Object.fromEntries(Object.entries(ids).filter(([key]) => key in example))
})

const nowhere = "01a2043c-0000-7000-8000-000000000000"

/** What a problem says, but for the request that it answers. */
const said = (problem: unknown) => {
  if (!isRecord(problem)) return problem
  const { requestId: _, ...rest } = problem
  return rest
}

const world = Effect.gen(function* () {
  const { signIn, url } = yield* TestService
  const { ask, must } = api(url)
  const [ann, bob, eve] = [yield* signIn("ann"), yield* signIn("bob"), yield* signIn("eve")]
  const as = (tokens: typeof ann) => ({ token: tokens.accessToken })
  const made = yield* must("POST", "/v1/conversations", {
    ...as(ann),
    json: { kind: "group", title: "Ours", memberIds: [bob.user.id] }
  })
  const id = String(Object(made).id)
  const poll = { type: "poll", payload: { question: "Where?", options: ["here", "there"] } }
  const sent = yield* must("POST", `/v1/conversations/${id}/messages`, {
    ...as(ann),
    json: { clientMessageId: "1", body: "", ...poll }
  })
  const messageId = String(Object(sent).message.id)
  const ids = {
    messageId,
    userId: bob.user.id,
    userIds: [bob.user.id],
    sendAt: "2999-01-01T00:00:00.000Z",
    options: [0],
    emoji: "👍"
  }
  const log = Effect.map(ask("GET", `/v1/conversations/${id}/events`, as(ann)), ({ body }) => body)
  const rpc = (op: string, payload: unknown, token?: string) =>
    Effect.promise(async () => {
      const headers = { "content-type": "application/x-ndjson", ...(token && { authorization: `Bearer ${token}` }) }
      const message = { _tag: "Request", id: "1", tag: op, payload, headers: [] }
      const body = `${JSON.stringify(message)}\n`
      const answer = await fetch(`${url}/rpc`, { method: "POST", headers, body })
      const { exit } = JSON.parse(await answer.text())
      return exit._tag === "Success" ? "ok" : said(exit.cause[0].error)
    })
  return { ask, as, ann, eve, id, ids, log, rpc, url }
})

const generous = { requestsPerMinute: 10_000, commandsPerSecond: 10_000, commandsBurst: 10_000 }

layer(TestService.layer({ limits: generous }), { excludeTestServices: true })("access", (it) => {
  it.effect("a stranger is told of a conversation what is told of none, whatever is asked for and how", () =>
    Effect.gen(function* () {
      const { ask, as, eve, id, ids, log, rpc, url } = yield* world
      const before = yield* log
      const socket = yield* connect(url)
      yield* socket.ready(eve.accessToken)
      assert.isAbove(ofConversations.length, 30)
      for (const { example, op } of ofConversations) {
        const ofOurs = withIds(example, { ...ids, conversationId: id })
        const ofNone = withIds(example, { ...ids, conversationId: nowhere })
        const told = yield* rpc(op, ofOurs, eve.accessToken)
        assert.strictEqual(Object(told).type, "/problems/not-found", `${op} ${JSON.stringify(told)}`)
        assert.deepStrictEqual(told, yield* rpc(op, ofNone, eve.accessToken), op)
        const [toldOverSocket, toldOfNone] = [yield* socket.command(op, ofOurs), yield* socket.command(op, ofNone)]
        assert.strictEqual(
          toldOverSocket.error?.type,
          "/problems/not-found",
          `${op} ${JSON.stringify(toldOverSocket.json)}`
        )
        assert.deepStrictEqual(toldOverSocket.error, toldOfNone.error, op)
      }
      const { paths } = openApiDocument()
      let routes = 0
      for (const [path, item] of Object.entries(isRecord(paths) ? paths : {})) {
        if (!path.startsWith("/v1/conversations/{id}")) continue
        for (const [method, operation] of Object.entries(isRecord(item) ? item : {})) {
          const at = (conversationId: string) =>
            path
              .replace("{id}", conversationId)
              .replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(Object(ids)[name] ?? "text"))
          const { content } = Object(Object(operation).requestBody)
          const example = content && Object(content)["application/json"].example
          const body = example && { json: withIds(example, ids) }
          const request = (conversationId: string) =>
            ask(method.toUpperCase(), at(conversationId), { ...as(eve), ...body })
          const told = yield* request(id)
          assert.strictEqual(told.status, 404, `${method} ${path} ${JSON.stringify(told.body)}`)
          routes++
          assert.deepStrictEqual(said(told.body), said((yield* request(nowhere)).body), `${method} ${path}`)
        }
      }
      assert.isAbove(routes, 30)
      assert.deepStrictEqual(yield* log, before)
      assert.isEmpty(socket.seqs(id))
    })
  )

  it.effect("nobody calls without a token", () =>
    Effect.gen(function* () {
      const { id, ids, rpc } = yield* world
      for (const { example, op } of payloads) {
        const told = yield* rpc(op, example && withIds(example, { ...ids, conversationId: id }))
        assert.strictEqual(Object(told).type, "/problems/unauthenticated", op)
      }
    })
  )
})
