import { spawn, spawnSync } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { api, connect } from "../support/Client.ts"
import { dataDirectory, startNode } from "../support/Node.ts"
import { longTestTimeout } from "../support/TimeLimits.ts"

/**
 * Runs a command of an operator, and gives what it prints. This process goes on meanwhile, so that it sees when the node
 * closes a connection that nobody has used for a while.
 */
const run = (dataDir: string, ...args: ReadonlyArray<string>) =>
  Effect.promise(
    () =>
      new Promise<{ status: number | null; stderr: string; stdout: string }>((resolve, reject) => {
        const child = spawn(process.execPath, ["src/main.ts", "--data-dir", dataDir, ...args], {
          env: { PATH: process.env.PATH }
        })
        let [stderr, stdout] = ["", ""]
        child.stderr.on("data", (data) => (stderr += String(data)))
        child.stdout.on("data", (data) => (stdout += String(data)))
        child.on("error", reject)
        child.on("close", (status) => resolve({ status, stderr, stdout: stdout.trim() }))
      })
  )

describe("the commands of operators", () => {
  it.live(
    "work on the database, whether the service runs or not",
    () =>
      Effect.gen(function* () {
        const dataDir = yield* dataDirectory
        const first = yield* run(dataDir, "token", "create", "--scope", "audit", "--name", "before")
        assert.deepStrictEqual([first.status, first.stdout.slice(0, 4)], [0, "cst_"])
        const node = yield* startNode({ "data.dir": dataDir })
        const statusWith = (token: string) =>
          Effect.map(api(node.url).ask("GET", "/v1/server/audit", { token }), ({ status }) => status)
        assert.strictEqual(yield* statusWith(first.stdout), 200)

        const second = yield* run(dataDir, "token", "create", "--scope", "audit", "--expires", "1 hour")
        assert.strictEqual(second.stderr.split("\n").length, 2)
        assert.strictEqual(yield* statusWith(second.stdout), 200)
        const [newest = "", oldest = ""] = (yield* run(dataDir, "token", "list")).stdout.split("\n")
        assert.deepInclude(JSON.parse(oldest), { name: "before", scopes: ["audit"] })
        const { id } = JSON.parse(newest)
        assert.strictEqual((yield* run(dataDir, "token", "revoke", id)).status, 0)
        assert.strictEqual(yield* statusWith(second.stdout), 401)
        assert.deepStrictEqual(yield* run(dataDir, "token", "revoke", id), {
          status: 1,
          stdout: "",
          stderr: "chat-service: There is no such service token\n"
        })

        const bot = yield* run(dataDir, "token", "bot", "weather", "--display-name", "Weather")
        assert.deepStrictEqual([bot.status, bot.stdout.slice(0, 4)], [0, "cbt_"])
        const again = yield* run(dataDir, "token", "bot", "weather")
        for (const token of [bot.stdout, again.stdout]) {
          const { body } = yield* api(node.url).ask("GET", "/v1/users/me", { token })
          assert.deepInclude(body, { username: "weather", displayName: "Weather", kind: "bot" })
        }

        const user = yield* api(node.url).register("ann")
        const found = (yield* run(dataDir, "admin", "accounts", "--query", user.username)).stdout
        assert.strictEqual(JSON.parse(found).id, user.id)
        const exported = (yield* run(dataDir, "admin", "export", user.id)).stdout.split("\n")
        assert.deepStrictEqual(
          exported.map((line) => JSON.parse(line).kind),
          ["profile", "session", "end"]
        )
        const client = yield* connect(node.url)
        yield* client.ready(user.token)
        assert.strictEqual((yield* run(dataDir, "admin", "disable", user.id)).status, 0)
        assert.strictEqual((yield* client.closed).code, 4504)
        const login = { login: user.username, password: user.password }
        assert.strictEqual((yield* api(node.url).ask("POST", "/v1/auth/login", { json: login })).status, 403)

        assert.deepStrictEqual(JSON.parse((yield* run(dataDir, "admin", "registration", "closed")).stdout), {
          mode: "closed",
          chosen: true
        })
        const { password } = user
        const bob = { email: "bob@example.com", username: "bob", displayName: "Bob", password }
        const refused = yield* api(node.url).ask("POST", "/v1/auth/register", { json: bob })
        assert.strictEqual(refused.status, 403)
        assert.strictEqual(
          (yield* run(dataDir, "admin", "registration", "default")).stdout,
          '{"mode":"open","chosen":false}'
        )

        const lines = (yield* run(dataDir, "admin", "audit", "--most", "4")).stdout.split("\n")
        assert.deepStrictEqual(
          lines.map((line) => JSON.parse(line).act),
          ["admin.setRegistration", "admin.setRegistration", "admin.disable", "admin.exportAccount"]
        )
        const cut = yield* Effect.sync(() =>
          spawnSync(
            "sh",
            [
              "-c",
              '"$0" src/main.ts --data-dir "$1" --set limits.page_size=1 admin audit | true',
              process.execPath,
              dataDir
            ],
            {
              encoding: "utf8"
            }
          )
        )
        assert.deepStrictEqual([cut.stdout, cut.stderr], ["", ""], "a reader that has enough is no error")
        assert.notInclude(JSON.stringify([node.log, node.said, lines]), first.stdout)
        assert.strictEqual(yield* statusWith(first.stdout), 200, "the service has its database still")
      }).pipe(Effect.scoped),
    longTestTimeout
  )
})
