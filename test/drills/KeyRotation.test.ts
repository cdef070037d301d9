import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema, Scope } from "effect"
import { inject } from "vitest"
import { type Account, api } from "../support/Client.ts"
import { owned } from "../support/Clusters.ts"
import { type Node, startNode } from "../support/Node.ts"
import { query } from "../support/Servers.ts"
import { longTestTimeout } from "../support/TimeLimits.ts"

const cluster = inject("clusters").server

const decodePair = Schema.decodeUnknownSync(Schema.Struct({ accessToken: Schema.String, refreshToken: Schema.String }))

const [before, after] = ["the key until now with its 32 bytes or more", "the key from now on with 32 bytes or more"]

/** The settings of the three steps of docs/operations.md, and of the state before them. */
const steps = [
  { "jwt.secret": before },
  { "jwt.secret": before, "jwt.previous_secrets": after },
  { "jwt.secret": after, "jwt.previous_secrets": before }
] as const
const last = { "jwt.secret": after }

/** Logs in at one node, presents both tokens to the other one, and returns its answer. */
const crossing = Effect.fnUntraced(function* (from: Node, to: Node, { password, username }: Account) {
  const login = yield* api(from.url).ask("POST", "/v1/auth/login", { json: { login: username, password } })
  const { accessToken, refreshToken } = decodePair(login.body)
  const me = yield* api(to.url).ask("GET", "/v1/users/me", { token: accessToken })
  const refresh = yield* api(to.url).ask("POST", "/v1/auth/refresh", { json: { refreshToken } })
  return [me.status, refresh.status]
})

describe.skipIf(cluster === null)("changing jwt.secret", () => {
  it.live(
    "gives no 401 while two nodes are restarted one after another",
    () =>
      Effect.gen(function* () {
        const database = owned.name("keys")
        yield* Effect.addFinalizer(() =>
          Effect.orDie(query(cluster?.port ?? 0, "postgres", `DROP DATABASE IF EXISTS ${database} WITH (FORCE)`))
        )
        const start = Effect.fnUntraced(function* (keys: Readonly<Record<string, string>>) {
          const scope = yield* Scope.fork(yield* Effect.scope)
          const node = yield* Scope.provide(
            startNode({
              "postgres.host": "127.0.0.1",
              "postgres.port": cluster?.port ?? 0,
              "postgres.database": database,
              ...keys
            }),
            scope
          )
          return { node, close: Scope.close(scope, Exit.void) }
        })
        const nodes = [yield* start(steps[0]), yield* start(steps[0])]
        const ann = yield* api(nodes[0]?.node.url ?? "").register("ann")
        const statuses = new Set<number>()
        /** The tokens of each node are valid at the other one, and so is one from before the first step. */
        const look = (oldTokenIsGood: boolean) =>
          Effect.gen(function* () {
            for (const [one, other] of [nodes, nodes.toReversed()]) {
              if (one === undefined || other === undefined) return
              for (const status of yield* crossing(one.node, other.node, ann)) statuses.add(status)
              const old = yield* api(one.node.url).ask("GET", "/v1/users/me", { token: ann.token })
              if (oldTokenIsGood) statuses.add(old.status)
            }
          })
        yield* look(true)
        for (const keys of [...steps.slice(1), last]) {
          for (const at of nodes.keys()) {
            yield* nodes[at]?.close ?? Effect.void
            nodes[at] = yield* start(keys)
            yield* look(keys !== last)
          }
        }
        assert.deepStrictEqual([...statuses], [200])
        // Tokens of the old key are invalid once it is removed.
        const old = yield* api(nodes[0]?.node.url ?? "").ask("GET", "/v1/users/me", { token: ann.token })
        assert.strictEqual(old.status, 401)
      }).pipe(Effect.scoped),
    longTestTimeout
  )
})
