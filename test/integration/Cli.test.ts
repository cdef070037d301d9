import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { TestService } from "../../src/testing/TestService.ts"

const main = new URL("../../src/cli/main.ts", import.meta.url).pathname

/** A person at a terminal with a home of his own. */
const terminal = Effect.gen(function* () {
  const { url } = yield* TestService
  const home = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "chat-cli-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true }))
  )
  const passwordFile = join(home, "password")
  writeFileSync(passwordFile, "correct horse\n")
  const start = (...words: ReadonlyArray<string>): ChildProcess =>
    spawn(process.execPath, [main, ...words], {
      env: { PATH: process.env.PATH, HOME: home, XDG_CONFIG_HOME: home, CHAT_URL: url, NO_COLOR: "1" },
      stdio: ["ignore", "pipe", "pipe"]
    })
  const run = (...words: ReadonlyArray<string>) =>
    Effect.callback<{ code: number | null; out: string; error: string }>((resume) => {
      const child = start(...words)
      let [out, error] = ["", ""]
      child.stdout?.on("data", (chunk) => {
        out += chunk
      })
      child.stderr?.on("data", (chunk) => {
        error += chunk
      })
      child.on("close", (code) => resume(Effect.succeed({ code, out, error })))
      return Effect.sync(() => child.kill())
    })
  return { home, passwordFile, run, start }
})

const patience = 120_000

layer(TestService.layer(), { excludeTestServices: true })("the command line", (it) => {
  it.effect(
    "signs in, sends, lists, shows what comes live, and signs out",
    () =>
      Effect.gen(function* () {
        const { home, passwordFile, run, start } = yield* terminal
        const { signIn } = yield* TestService
        yield* signIn("bob")
        const registered = yield* run("register", "--password-file", passwordFile, "cleo", "cleo@example.com")
        assert.deepStrictEqual([registered.code, registered.error], [0, ""])
        assert.strictEqual(statSync(join(home, "chat-service", "session.json")).mode & 0o777, 0o600)
        const sent = yield* run("send", "@bob", "hello", "Bob")
        assert.strictEqual(sent.out, "sent, seq 2\n")
        assert.match((yield* run("conversations")).out, /^[0-9a-f-]{36} {2}@bob\n$/)
        const child = yield* Effect.acquireRelease(
          Effect.sync(() => start("tail", "@bob")),
          (it) => Effect.sync(() => it.kill())
        )
        const lines = (count: number) =>
          Effect.callback<string>((resume) => {
            let text = ""
            const take = (chunk: Buffer) => {
              text += chunk
              if (text.split("\n").length > count) resume(Effect.succeed(text))
            }
            child.stdout?.on("data", take)
            return Effect.sync(() => child.stdout?.off("data", take))
          })
        assert.match(yield* lines(1), /cleo: hello Bob\n$/)
        const [, live] = yield* Effect.all([run("send", "@bob", "and live"), lines(1)], { concurrency: 2 })
        assert.match(live, /cleo: and live\n$/)
        assert.strictEqual((yield* run("logout")).out, "signed out\n")
        const signedOut = yield* run("whoami")
        assert.strictEqual(signedOut.code, 1)
        assert.match(signedOut.error, /nobody is signed in/)
      }).pipe(Effect.scoped),
    patience
  )

  it.effect(
    "tries a deployment, and says in one line what is wrong",
    () =>
      Effect.gen(function* () {
        const { passwordFile, run } = yield* terminal
        const fine = yield* run("smoke")
        assert.deepStrictEqual([fine.code, fine.error], [0, ""])
        assert.match(fine.out, /ok {2}receive live \(\d+ ms\)\n/)
        const away = yield* run("smoke", "--url", "http://127.0.0.1:1")
        assert.strictEqual(away.code, 1)
        assert.match(away.error, /^chat-service: ready failed: .*\n$/)
        const wrong = yield* run("login", "--password-file", passwordFile, "nobody")
        assert.strictEqual(wrong.code, 1)
        assert.match(wrong.error, /^chat-service: .*\n$/)
        assert.match((yield* run("--completions", "bash")).out, /conversations/)
      }).pipe(Effect.scoped),
    patience
  )
})
