import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Latch } from "effect"
import { SqlClient } from "effect/sql"
import { SignJWT } from "jose"
import { Unavailable } from "../../src/domain/Problem.ts"
import { api, connect } from "../support/Client.ts"
import { Gate, gatewayService, Service } from "../support/GatewayService.ts"

const secret = new TextEncoder().encode("a secret for tests only, 32 bytes or more")

/** An access token of a session that expires in so many seconds. */
const tokenOf = ({ id, sessionId }: { readonly id: string; readonly sessionId: string }, expiresIn: number) =>
  Effect.promise(() =>
    new SignJWT({ sid: sessionId, gen: 1 })
      .setProtectedHeader({ alg: "HS256", typ: "JWT" })
      .setIssuer("chat_socio")
      .setSubject(id)
      .setIssuedAt()
      .setExpirationTime(Math.ceil(Date.now() / 1000) + expiresIn)
      .sign(secret)
  )

const keys = (value: unknown) => (typeof value === "object" && value !== null ? Object.keys(value).sort() : [])

const start = Effect.gen(function* () {
  const { url } = yield* Service
  return { url, http: api(url) }
})

layer(gatewayService({ timers: { sessionExpiring: 1500 } }), { excludeTestServices: true })("hello", (it) => {
  it.effect("is answered with exactly what the contract names, and then with the list", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const ann = yield* http.register("ann")
      const bob = yield* http.register("bob")
      const id = yield* http.dm(ann, bob)
      yield* http.post(bob, id, "m1", "hello Ann")
      const client = yield* connect(url)
      const [answer, ready, ...rest] = yield* client.ready(ann.token, { client: { name: "web", version: "1.2.0" } })
      assert.deepStrictEqual(keys(answer?.json), ["id", "ok"])
      assert.deepStrictEqual(keys(answer?.ok), [
        "connectionId",
        "heartbeatMs",
        "limits",
        "serverTime",
        "sessionId",
        "tokenExpiresAt",
        "user",
        "userSeq"
      ])
      const { heartbeatMs, sessionId, serverTime, tokenExpiresAt, user, userSeq } = answer?.ok ?? {}
      assert.strictEqual(sessionId, ann.sessionId)
      assert.strictEqual(heartbeatMs, 25_000)
      assert.isNumber(userSeq)
      assert.deepStrictEqual(user, yield* http.must("GET", "/v1/users/me", { token: ann.token }))
      for (const time of [serverTime, tokenExpiresAt]) assert.strictEqual(time, new Date(String(time)).toISOString())
      assert.deepStrictEqual(ready?.json, {
        event: "ready",
        data: {
          conversations: [yield* http.must("GET", `/v1/conversations/${id}`, { token: ann.token })],
          done: true
        }
      })
      assert.deepStrictEqual(rest, [])
    })
  )

  it.effect("gives an empty list to a user without conversations", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const ann = yield* http.register()
      const [, ready] = yield* (yield* connect(url)).ready(ann.token)
      assert.deepStrictEqual(ready?.json, { event: "ready", data: { conversations: [], done: true } })
    })
  )

  it.effect("spreads a long list over several frames, latest activity first, done with the last", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const ann = yield* http.register()
      const ids = yield* Effect.forEach(Array.from({ length: 120 }), () => http.group(ann), { concurrency: 8 })
      yield* http.post(ann, ids[7] ?? "", "latest")
      const client = yield* connect(url)
      const [, ...frames] = yield* client.ready(ann.token)
      assert.isAbove(frames.length, 1)
      assert.deepStrictEqual(
        frames.map((frame) => frame.data?.done),
        [...frames.slice(1).map(() => undefined), true]
      )
      const listed = frames.flatMap((frame) => frame.data?.conversations ?? [])
      assert.strictEqual(listed[0]?.id, ids[7])
      assert.deepStrictEqual(listed.map((one) => one.id).sort(), [...ids].sort())
      // Each conversation is live, also those of the first frames.
      for (const id of [ids[0] ?? "", ids[119] ?? ""]) {
        const { message } = yield* http.post(ann, id, "live")
        yield* client.seq(id, message.seq)
      }
    })
  )

  it.effect("need not be awaited: commands that follow it are answered after it", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const ann = yield* http.register()
      const id = yield* http.dm(ann, ann)
      const client = yield* connect(url)
      client.send([
        { id: "h", op: "hello", data: { token: ann.token } },
        { id: "s", op: "message.send", data: { conversationId: id, clientMessageId: "early", body: "first" } }
      ])
      client.send({ id: "p", op: "ping" })
      const sent = yield* client.answer("s")
      yield* client.answer("p")
      assert.strictEqual(sent.ok?.seq, 2)
      assert.strictEqual(client.frames[0]?.id, "h")
      // The conversation arrives once, either in the list or as an event.
      yield* client.next((frame) => frame.data?.done === true)
      const listed = client.frames.flatMap((frame) => frame.data?.conversations ?? [])
      if ((listed[0]?.seq ?? 0) < 2) yield* client.seq(id, 2)
      assert.isAtMost(client.seqs(id).length, 1)
    })
  )

  it.effect("refuses commands beyond those in flight while it lasts", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const gate = yield* Gate
      const latch = yield* Latch.make()
      const ann = yield* http.register()
      const client = yield* connect(url)
      gate.memberships = latch.await
      client.send({ id: "h", op: "hello", data: { token: ann.token } })
      for (let n = 1; n <= 1001; n++) client.send({ id: n, op: "ping" })
      const refused = yield* client.answer(1001)
      assert.strictEqual(refused.error?.type, "/problems/rate-limited")
      assert.isAbove(refused.error?.retryAfterMs ?? 0, 0)
      gate.memberships = Effect.void
      yield* latch.open
      assert.deepStrictEqual((yield* client.answer(1000)).ok, {})
    })
  )

  it.effect("must be the first frame", () =>
    Effect.gen(function* () {
      const { url } = yield* start
      const client = yield* connect(url)
      client.request("ping")
      assert.strictEqual((yield* client.closed).code, 4500)
      assert.deepStrictEqual(client.frames, [])
    })
  )

  it.effect("is accepted once", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const ann = yield* http.register()
      const client = yield* connect(url)
      yield* client.ready(ann.token)
      assert.strictEqual((yield* client.error("hello", { token: ann.token })).status, 400)
      assert.deepStrictEqual(yield* client.ok("ping"), {})
    })
  )

  it.effect("with invalid data is answered with the field, and ends the socket", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const { token } = yield* http.register()
      const id = "018f0000-0000-7000-8000-000000000000"
      const wrong: ReadonlyArray<readonly [object, string]> = [
        [{ cursors: [] }, "cursors"],
        [{ cursors: { [id]: -1 } }, `cursors.${id}`],
        [{ cursors: { [id]: 1.5 } }, `cursors.${id}`],
        [{ cursors: { [id]: "1" } }, `cursors.${id}`],
        [{ userSeq: "7" }, "userSeq"],
        [{ caps: "batch" }, "caps"],
        [{ client: "web" }, "client"]
      ]
      for (const [rest, path] of wrong) {
        const client = yield* connect(url)
        const { error } = yield* client.hello(token, rest)
        assert.strictEqual(error?.type, "/problems/invalid-request")
        assert.deepStrictEqual(
          error?.errors?.map((issue) => issue.path),
          [path]
        )
        assert.strictEqual((yield* client.closed).code, 4500)
      }
    })
  )

  it.effect("may have unknown fields, which are ignored", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const { token } = yield* http.register()
      const client = yield* connect(url)
      client.raw(
        `{"id":1,"op":"hello","more":1,"data":{"token":"${token}","later":{"__proto__":{"x":1}},"caps":["new"]}}`
      )
      assert.isDefined((yield* client.answer(1)).ok)
    })
  )

  it.effect("without a valid token ends the socket, and the code says whether to reconnect", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const ann = yield* http.register()
      const gone = yield* http.login(ann.username, ann.password)
      yield* http.must("POST", "/v1/auth/logout", { token: gone.token })
      const cases: ReadonlyArray<readonly [unknown, number]> = [
        [undefined, 4502],
        [{}, 4502],
        [{ token: "" }, 4502],
        [{ token: "no token" }, 4502],
        [{ token: `${ann.token}x` }, 4502],
        [{ token: yield* tokenOf(ann, -10) }, 4004],
        [{ token: gone.token }, 4503]
      ]
      for (const [data, code] of cases) {
        const client = yield* connect(url)
        client.request("hello", data)
        assert.strictEqual((yield* client.closed).code, code, JSON.stringify(data))
      }
    })
  )

  it.effect("does not miss the end of its session meanwhile", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const gate = yield* Gate
      const latch = yield* Latch.make()
      const ann = yield* http.register()
      const client = yield* connect(url)
      const reached = yield* Latch.make()
      gate.memberships = Effect.andThen(reached.open, latch.await)
      client.request("hello", { token: ann.token })
      yield* reached.await
      gate.memberships = Effect.void
      yield* http.must("POST", "/v1/auth/logout", { token: ann.token })
      yield* latch.open
      assert.strictEqual((yield* client.closed).code, 4503)
      assert.deepStrictEqual(client.frames, [])
    })
  )

  it.effect("of a stream does not miss it either", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const gate = yield* Gate
      const latch = yield* Latch.make()
      const reached = yield* Latch.make()
      const ann = yield* http.register()
      gate.memberships = Effect.andThen(reached.open, latch.await)
      const headers = { authorization: `Bearer ${ann.token}`, "last-event-id": "unknown" }
      const opening = yield* Effect.forkChild(Effect.promise(() => fetch(`${url}/v1/events`, { headers })))
      yield* reached.await
      gate.memberships = Effect.void
      yield* http.must("POST", "/v1/auth/logout", { token: ann.token })
      yield* latch.open
      assert.strictEqual((yield* Fiber.join(opening)).status, 401)
    })
  )

  it.effect("while the database is down is answered with unavailable, and the client may reconnect", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const gate = yield* Gate
      const ann = yield* http.register()
      const id = yield* http.dm(ann, ann)
      for (const read of ["memberships", "heads"] as const) {
        gate[read] = Effect.fail(new Unavailable({}))
        const client = yield* connect(url)
        const answer = yield* client.hello(ann.token)
        // After the answer to hello, the end of the socket has the reason.
        if (read === "memberships") assert.strictEqual(answer.error?.type, "/problems/unavailable")
        else assert.isDefined(answer.ok)
        assert.strictEqual((yield* client.closed).code, 4000)
        assert.strictEqual(client.frames.length, 1)
        gate[read] = Effect.void
      }
      const client = yield* connect(url)
      yield* client.ready(ann.token)
      yield* http.post(ann, id, "m1")
      yield* client.seq(id, 2)
    })
  )

  it.effect("may be repeated when it could not be answered, also after commands that were sent meanwhile", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const sql = yield* SqlClient.SqlClient
      const ann = yield* http.register()
      const client = yield* connect(url)
      yield* sql`ALTER TABLE users RENAME TO lost`
      const refused = yield* client.hello(ann.token)
      yield* sql`ALTER TABLE lost RENAME TO users`
      assert.strictEqual(refused.error?.status, 500)
      const ping = client.request("ping")
      assert.isDefined((yield* client.hello(ann.token)).ok)
      assert.deepStrictEqual((yield* client.answer(ping)).ok, {})
    })
  )

  it.effect("that hits a bug ends that socket alone, and reveals only the id of the log line", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const { log } = yield* Service
      const gate = yield* Gate
      const ann = yield* http.register()
      const other = yield* connect(url)
      yield* other.ready(ann.token)
      gate.memberships = Effect.die(new Error("a bug"))
      const client = yield* connect(url)
      const { error, json } = yield* client.hello(ann.token)
      gate.memberships = Effect.void
      assert.strictEqual(error?.type, "/problems/internal")
      assert.notInclude(JSON.stringify(json), "a bug")
      assert.strictEqual((yield* client.closed).code, 4000)
      assert.isTrue(log.some((line) => line.level === "ERROR" && JSON.stringify(line).includes("a bug")))
      assert.deepStrictEqual(yield* other.ok("ping"), {})
    })
  )

  it.effect("refuses more sockets of a user than allowed", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const ann = yield* http.register()
      const clients = yield* Effect.forEach(Array.from({ length: 52 }), () => connect(url), { concurrency: 8 })
      for (const client of clients) client.request("hello", { token: ann.token })
      const outcomes = yield* Effect.forEach(
        clients,
        (client) =>
          Effect.race(
            Effect.as(client.event("ready"), "ready"),
            Effect.map(client.closed, ({ code }) => code)
          ),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        outcomes.filter((outcome) => outcome !== "ready"),
        [4505, 4505]
      )
      const one = clients[outcomes.indexOf("ready")]
      one?.close()
      if (one !== undefined) yield* one.closed
      yield* (yield* connect(url)).ready(ann.token)
    })
  )
})

layer(gatewayService(), { excludeTestServices: true })("a token that lives shorter than the warning", (it) => {
  it.effect("is warned of when half of its time is over, so that its renewal is not asked for again at once", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const ann = yield* http.register()
      const client = yield* connect(url)
      const from = Date.now()
      const answer = yield* client.hello(yield* tokenOf(ann, 5))
      yield* client.event("session.expiring")
      assert.isAtLeast(Date.now(), (from + Date.parse(String(answer.ok?.tokenExpiresAt))) / 2)
    })
  )
})

layer(gatewayService({ timers: { sessionExpiring: 1000 } }), { excludeTestServices: true })("auth.token", (it) => {
  it.effect("warns before the token expires, and ends the socket when it has", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const ann = yield* http.register()
      const token = yield* tokenOf(ann, 1)
      const client = yield* connect(url)
      const answer = yield* client.hello(token)
      const warning = yield* client.event("session.expiring")
      assert.deepStrictEqual(warning.json, {
        event: "session.expiring",
        data: { expiresAt: answer.ok?.tokenExpiresAt }
      })
      assert.strictEqual((yield* client.closed).code, 4004)
      assert.isAtLeast(Date.now(), Date.parse(warning.data?.expiresAt ?? ""))
    })
  )

  it.effect("is not for streams: a stream ends when its token has expired", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const token = yield* tokenOf(yield* http.register(), 1)
      const response = yield* Effect.promise(() =>
        fetch(`${url}/v1/events`, { headers: { authorization: `Bearer ${token}` } })
      )
      assert.include(yield* Effect.promise(() => response.text()), "event: ready")
      assert.strictEqual((yield* http.ask("GET", "/v1/users/me", { token })).status, 401)
    })
  )

  it.effect("renews the token, so that the socket outlives its first one", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const ann = yield* http.register()
      const client = yield* connect(url)
      yield* client.ready(yield* tokenOf(ann, 1))
      const second = yield* tokenOf(ann, 3)
      const { tokenExpiresAt } = yield* client.ok("auth.token", { token: second })
      const warning = yield* client.event("session.expiring")
      assert.strictEqual(warning.data?.expiresAt, tokenExpiresAt)
      assert.strictEqual((yield* client.closed).code, 4004)
      assert.isAtLeast(Date.now(), Date.parse(String(tokenExpiresAt)))
    })
  )

  it.effect("refuses invalid tokens and those of other users, and the socket stays open", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const ann = yield* http.register()
      const bob = yield* http.register()
      const gone = yield* http.login(ann.username, ann.password)
      yield* http.must("POST", "/v1/auth/logout", { token: gone.token })
      const client = yield* connect(url)
      yield* client.ready(ann.token)
      const refused = [
        yield* client.error("auth.token", { token: bob.token }),
        yield* client.error("auth.token", {}),
        yield* client.error("auth.token"),
        yield* client.error("auth.token", { token: "nonsense" }),
        yield* client.error("auth.token", { token: yield* tokenOf(ann, -10) }),
        yield* client.error("auth.token", { token: gone.token })
      ]
      assert.deepStrictEqual(
        refused.map(({ code, status }) => code ?? status),
        [400, 400, 400, "token-invalid", "token-expired", "session-ended"]
      )
      assert.deepStrictEqual(yield* client.ok("ping"), {})
    })
  )
})

layer(gatewayService({ timers: { hello: 200 } }), { excludeTestServices: true })("no hello", (it) => {
  it.effect("within the time ends the socket", () =>
    Effect.gen(function* () {
      const { http, url } = yield* start
      const ann = yield* http.register()
      const silent = yield* connect(url)
      const good = yield* connect(url)
      yield* good.ready(ann.token)
      assert.strictEqual((yield* silent.closed).code, 4001)
      assert.deepStrictEqual(yield* good.ok("ping"), {})
    })
  )
})

layer(gatewayService({ limits: { commandsPerSecond: 0.01, commandsBurst: 3 } }), { excludeTestServices: true })(
  "a hello after one that could not be answered",
  (it) => {
    it.effect("counts as a command", () =>
      Effect.gen(function* () {
        const { http, url } = yield* start
        const sql = yield* SqlClient.SqlClient
        const { token } = yield* http.register()
        const client = yield* connect(url)
        yield* sql`ALTER TABLE users RENAME TO lost`
        const answers = yield* Effect.forEach(Array.from({ length: 7 }), () => client.hello(token))
        yield* sql`ALTER TABLE lost RENAME TO users`
        assert.deepStrictEqual(
          answers.map(({ error }) => error?.status),
          [500, 500, 500, 500, 429, 429, 429]
        )
        client.request("hello", { token })
        assert.strictEqual((yield* client.closed).code, 4006)
      })
    )
  }
)
