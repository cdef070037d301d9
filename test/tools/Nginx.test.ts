import { spawn, spawnSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schedule, Scope } from "effect"
import { inject } from "vitest"
import { api, connect } from "../support/Client.ts"
import { owned } from "../support/Clusters.ts"
import { type Node, startNode } from "../support/Node.ts"
import { inRepository } from "../support/Prometheus.ts"
import { freePort, query, temporaryDirectory } from "../support/Servers.ts"

const program = "/usr/sbin/nginx"
const cluster = inject("clusters").server

/** The configuration in docs/operations.md. */
const recipe = /```nginx\n([\s\S]*?)```/.exec(readFileSync(inRepository("docs/operations.md"), "utf8"))?.[1] ?? ""

/** Starts nginx with the recipe on other ports, until the scope closes, and returns its URL. */
const startNginx = Effect.fnUntraced(function* (first: number, second: number) {
  const directory = yield* temporaryDirectory("nginx")
  const port = yield* freePort
  const ports = new Map([
    ["8000", port],
    ["8080", first],
    ["8081", second]
  ])
  const body = recipe.replaceAll(/\b(8000|8080|8081)\b/g, (name) => String(ports.get(name)))
  const temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${join(directory, name)};`)
    .join("\n")
  const file = join(directory, "nginx.conf")
  mkdirSync(join(directory, "logs"), { recursive: true })
  writeFileSync(
    file,
    `daemon off; pid ${directory}/pid; error_log ${directory}/error.log;
    events {} http { access_log off;\n${temp}\n${body}\n}`
  )
  yield* Effect.acquireRelease(
    Effect.sync(() => spawn(program, ["-p", directory, "-c", file], { stdio: ["ignore", "ignore", "inherit"] })),
    (child) =>
      Effect.callback<void>((resume) => {
        if (child.exitCode !== null) return resume(Effect.void)
        child.once("exit", () => resume(Effect.void))
        child.kill("SIGTERM")
      })
  )
  const url = `http://127.0.0.1:${port}`
  yield* Effect.retry(
    Effect.tryPromise(() => fetch(url)),
    { schedule: Schedule.spaced(50), times: 200 }
  )
  return url
})

/** Two nodes behind nginx, on a database of their own. `restart` starts a node again at its port. */
const twoNodes = Effect.fnUntraced(function* (name: string) {
  const database = owned.name(name)
  yield* Effect.addFinalizer(() =>
    Effect.orDie(query(cluster?.port ?? 0, "postgres", `DROP DATABASE IF EXISTS ${database} WITH (FORCE)`))
  )
  const settings = {
    "postgres.host": "127.0.0.1",
    "postgres.port": cluster?.port ?? 0,
    "postgres.username": "postgres",
    "postgres.database": database,
    "nats.address": "nats://127.0.0.1:4222",
    "nats.prefix": `${name}-${process.pid}`,
    "jwt.secret": "a secret of this test, long enough to be accepted",
    "server.trusted_proxies": "127.0.0.1",
    "shutdown.lame_duck": 1,
    "timers.drain": 1
  }
  const start = Effect.fnUntraced(function* (port: number) {
    const scope = yield* Scope.fork(yield* Effect.scope)
    const node: Node = yield* Scope.provide(startNode({ ...settings, "server.port": port }), scope)
    return { node, close: Scope.close(scope, Exit.void), port }
  })
  const one = yield* start(yield* freePort)
  const two = yield* start(yield* freePort)
  return { one, two, start, url: yield* startNginx(one.port, two.port) }
})

describe.skipIf(cluster === null || !existsSync(program))(
  `nginx${existsSync(program) ? "" : " (apt: nginx-light)"}`,
  () => {
    it("accepts the configuration of the stack", () => {
      const { status, stderr } = spawnSync(program, ["-t", "-c", inRepository("deploy/nginx/nginx.conf")], {
        encoding: "utf8"
      })
      assert.strictEqual(status, 0, stderr)
    })

    it.live("loses no request while two nodes are restarted one after another", () =>
      Effect.gen(function* () {
        const { one, start, two, url } = yield* twoNodes("nginx")
        const http = api(url)
        const ann = yield* http.register("ann")
        const bob = yield* http.register("bob")
        const id = yield* http.dm(ann, bob)
        const socket = yield* connect(url)
        yield* socket.ready(ann.token)

        const statuses = new Map<number, number>()
        const ask = Effect.gen(function* () {
          const json = { clientMessageId: randomUUID(), body: "x" }
          for (const { status } of [
            yield* http.ask("GET", "/v1/users/me", { token: ann.token }),
            yield* http.ask("POST", `/v1/conversations/${id}/messages`, { token: ann.token, json })
          ])
            statuses.set(status, (statuses.get(status) ?? 0) + 1)
        })
        const asking = yield* Effect.forkScoped(Effect.repeat(ask, Schedule.spaced(20)))
        for (const { close, node, port } of [one, two]) {
          node.kill("SIGTERM")
          assert.strictEqual(yield* node.exit, 0)
          yield* close
          yield* start(port)
          const sent = statuses.get(201) ?? 0
          yield* Effect.repeat(Effect.sleep(20), { until: () => (statuses.get(201) ?? 0) > sent + 5 })
        }
        yield* Fiber.interrupt(asking)
        assert.deepStrictEqual([...statuses.keys()].toSorted(), [200, 201])
        assert.isAbove(statuses.get(201) ?? 0, 10)
        assert.strictEqual((yield* socket.closed).code, 4005)

        for (const path of [
          "/metrics",
          "/metrics/",
          "/metrics;",
          "/metrics;a",
          "/metrics/;a",
          "//metrics",
          "/metrics%3Ba"
        ])
          assert.strictEqual((yield* Effect.promise(() => fetch(`${url}${path}`))).status, 404, path)
      }).pipe(Effect.scoped)
    )

    it.live("sends requests that are safe to repeat to the other node while one is frozen", () =>
      Effect.gen(function* () {
        const { one, two, url } = yield* twoNodes("frozen")
        const http = api(url)
        const ann = yield* http.register("ann")
        const id = yield* http.dm(ann, ann)
        one.node.kill("SIGSTOP")
        yield* Effect.addFinalizer(() => Effect.sync(() => one.node.kill("SIGCONT")))
        const statuses = yield* Effect.forEach(
          Array.from({ length: 20 }, (_, n) => n),
          (n) =>
            Effect.all([
              http.ask("GET", "/v1/users/me", { token: ann.token }),
              http.ask("PUT", `/v1/conversations/${id}/draft`, { token: ann.token, json: { body: `draft ${n}` } }),
              http.ask("POST", `/v1/conversations/${id}/messages`, {
                token: ann.token,
                json: { clientMessageId: `m${n}`, body: "x" }
              })
            ]).pipe(Effect.map((answers) => answers.map(({ status }) => status))),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual([...new Set(statuses.map((each) => each.join()))], ["200,204,201"])
        const served = two.node.log.filter(({ route, status }) => route === "/v1/users/me" && status === 200)
        assert.lengthOf(served, 20)
        one.node.kill("SIGCONT")
      }).pipe(Effect.scoped)
    )

    it.live("names the client's own address, whatever the client says of it", () =>
      Effect.gen(function* () {
        const port = yield* freePort
        const seen: Array<string | undefined> = []
        const server = createServer((request, response) => {
          seen.push(request.headers["x-forwarded-for"]?.toString())
          response.end("{}")
        })
        yield* Effect.acquireRelease(
          Effect.callback<void>((resume) => void server.listen(port, "127.0.0.1", () => resume(Effect.void))),
          () => Effect.sync(() => server.closeAllConnections()).pipe(Effect.andThen(Effect.sync(() => server.close())))
        )
        const url = yield* startNginx(port, port)
        yield* Effect.promise(() => fetch(`${url}/x`, { headers: { "x-forwarded-for": "203.0.113.9" } }))
        assert.deepStrictEqual([...new Set(seen)], ["127.0.0.1"])
      }).pipe(Effect.scoped)
    )
  }
)
