import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { fakeService, HttpService, newcomer } from "../support/HttpService.ts"

interface ServerEvent {
  readonly id: string
  readonly event: string
  readonly data: Record<string, unknown>
}

const parse = (record: string): ServerEvent => {
  const field = (name: string) => record.match(new RegExp(`^${name}: (.*)$`, "m"))?.[1] ?? ""
  return { id: field("id"), event: field("event"), data: JSON.parse(field("data")) }
}

/** Opens a stream. `next` returns the next event of that name, and drops those before it. */
const open = Effect.fnUntraced(function* (token: string, lastEventId?: string) {
  const { url } = yield* HttpService
  const abort = new AbortController()
  yield* Effect.addFinalizer(() => Effect.sync(() => abort.abort()))
  const response = yield* Effect.promise(() =>
    fetch(`${url}/v1/events`, {
      signal: abort.signal,
      headers: { authorization: `Bearer ${token}`, ...(lastEventId !== undefined && { "last-event-id": lastEventId }) }
    })
  )
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let buffered = ""
  const one = async (): Promise<ServerEvent | undefined> => {
    for (;;) {
      const end = buffered.indexOf("\n\n")
      if (end >= 0) {
        const record = buffered.slice(0, end)
        buffered = buffered.slice(end + 2)
        return parse(record)
      }
      const { done, value } = (await reader?.read()) ?? { done: true, value: undefined }
      if (done) return undefined
      buffered += value
    }
  }
  const next = (event: string) =>
    Effect.promise(async () => {
      for (;;) {
        const found = await one()
        if (found === undefined || found.event === event) return found
      }
    })
  return { response, next }
})

layer(fakeService(), { excludeTestServices: true })("Server-Sent Events", (it) => {
  it.effect("have the new events, and continue after the last one that was received", () =>
    Effect.gen(function* () {
      const { ask, log } = yield* HttpService
      const ann = yield* newcomer("ann")
      const bob = yield* newcomer("bob")
      const first = yield* open(bob.token)
      assert.strictEqual(log.find(({ route }) => route === "/v1/events")?.client, "127.0.0.1")
      assert.strictEqual(first.response.headers.get("content-type")?.split(";")[0], "text/event-stream")
      assert.strictEqual(first.response.headers.get("x-accel-buffering"), "no")
      yield* first.next("ready")
      const made = yield* ask("/v1/conversations", { token: ann.token, json: { kind: "dm", userId: bob.id } })
      // An empty DM shows only to those who have opened it.
      yield* ask("/v1/conversations", { token: bob.token, json: { kind: "dm", userId: ann.id } })
      const added = yield* first.next("conversation.added")
      assert.strictEqual(added?.data.conversationId, made.json.id)
      const say = (clientMessageId: string) =>
        ask(`/v1/conversations/${String(made.json.id)}/messages`, {
          token: ann.token,
          json: { clientMessageId, body: clientMessageId }
        })
      yield* say("one")
      const one = yield* first.next("message.created")
      assert.strictEqual(one?.data.seq, 2)
      assert.isBelow(one?.id.length ?? 4096, 4096)
      yield* say("two")
      yield* say("three")

      const second = yield* open(bob.token, one?.id)
      const two = yield* second.next("message.created")
      const three = yield* second.next("message.created")
      assert.deepStrictEqual([two?.data.seq, three?.data.seq], [3, 4])
      yield* second.next("ready")
      yield* say("four")
      const four = yield* second.next("message.created")
      assert.strictEqual(four?.data.seq, 5, "live, and nothing twice")
    })
  )

  it.effect("begin with resets when the last event is unknown, or another user's", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const ann = yield* newcomer("ann")
      const bob = yield* newcomer("bob")
      const made = yield* ask("/v1/conversations", { token: ann.token, json: { kind: "dm", userId: bob.id } })
      // An empty DM shows only to those who have opened it.
      yield* ask("/v1/conversations", { token: bob.token, json: { kind: "dm", userId: ann.id } })
      const own = yield* open(ann.token)
      const ready = yield* own.next("ready")
      for (const lastEventId of [ready?.id ?? "", "nonsense", `${ready?.id.split(".")[0]}.not-a-uuid-at-all:5`]) {
        const stream = yield* open(bob.token, lastEventId)
        assert.strictEqual(stream.response.status, 200)
        const reset = yield* stream.next("conversation.reset")
        assert.deepStrictEqual(
          [reset?.data.conversationId, reset?.data.data],
          [made.json.id, { seq: 1 }],
          JSON.stringify(lastEventId)
        )
      }
    })
  )

  it.effect("end with the session, and the log says so", () =>
    Effect.gen(function* () {
      const { ask, log } = yield* HttpService
      const ann = yield* newcomer("ann")
      const stream = yield* open(ann.token)
      yield* stream.next("ready")
      yield* ask("/v1/auth/logout", { method: "POST", token: ann.token })
      assert.isUndefined(yield* stream.next("nothing of that name"))
      const late = yield* open(ann.token)
      assert.strictEqual(late.response.status, 401)
      const closing = () => log.find(({ message, userId }) => message === "event stream closed" && userId === ann.id)
      yield* Effect.sync(closing).pipe(Effect.repeat({ until: (line) => line !== undefined }))
      assert.isAtLeast(Number(closing()?.sent), 1)
    })
  )
})

layer(fakeService(), { excludeTestServices: true })("texts that take long to normalise", (it) => {
  it.effect("are refused before they are normalised", () =>
    Effect.gen(function* () {
      const { ask } = yield* HttpService
      const long = `a${"\u0301\u0316".repeat(60_000)}`
      for (const json of [
        { login: long, password: "correct horse" },
        { login: "ann", password: long }
      ]) {
        const { status } = yield* ask("/v1/auth/login", { json })
        assert.strictEqual(status, 400)
      }
    })
  )
})
