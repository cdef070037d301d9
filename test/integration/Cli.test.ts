import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { Conversations } from "../../src/services/conversations/Conversations.ts"
import { Invites } from "../../src/services/conversations/Invites.ts"
import { TestIssuer, TestService } from "../../src/testing/TestService.ts"
import { png } from "../support/Files.ts"
import { startHoldingProxy } from "../support/HoldingProxy.ts"
import { longTestTimeout } from "../support/TimeLimits.ts"

const main = new URL("../../src/cli/main.ts", import.meta.url).pathname

/** A user at a terminal, with a home directory of their own. The service is at `url`. */
const terminalAt = Effect.fnUntraced(function* (url: string) {
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

const terminal = Effect.flatMap(TestService, ({ url }) => terminalAt(url))

layer(TestService.layer(), { excludeTestServices: true })("the command line", (it) => {
  it.effect("signs in, sends, lists, shows new messages live, and signs out", () =>
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
    }).pipe(Effect.scoped)
  )

  it.effect("shows each message once that is sent while it begins to show new ones", () =>
    Effect.gen(function* () {
      const { signIn, url } = yield* TestService
      yield* signIn("bob")
      const proxy = yield* startHoldingProxy(url, ({ method, url = "" }) =>
        /^GET \/v1\/conversations\/[^/]+\/messages\?/.test(`${method} ${url}`)
      )
      const { passwordFile, run, start } = yield* terminalAt(proxy.url)
      yield* run("register", "--password-file", passwordFile, "gina", "gina@example.com")
      yield* run("send", "@bob", "before")
      const child = yield* Effect.acquireRelease(
        Effect.sync(() => start("tail", "@bob")),
        (it) => Effect.sync(() => it.kill())
      )
      const shown = yield* Effect.forkChild(
        Effect.callback<ReadonlyArray<string>>((resume) => {
          let text = ""
          child.stdout?.on("data", (chunk) => {
            text += chunk
            if (text.includes("gina: after\n")) resume(Effect.succeed(text.match(/(?<=gina: ).*/g) ?? []))
          })
        }),
        { startImmediately: true }
      )
      yield* proxy.asked
      yield* run("send", "@bob", "as it asks")
      yield* proxy.pass
      yield* run("send", "@bob", "as it is answered")
      yield* proxy.answer
      yield* run("send", "@bob", "after")
      assert.deepStrictEqual(yield* Fiber.join(shown), ["before", "as it asks", "as it is answered", "after"])
    }).pipe(Effect.scoped)
  )

  it.effect("makes a group, invites into it, and shows, finds and reads its messages", () =>
    Effect.gen(function* () {
      const [ann, bob] = [yield* terminal, yield* terminal]
      yield* ann.run("register", "--password-file", ann.passwordFile, "anna", "anna@example.com")
      yield* bob.run("register", "--password-file", bob.passwordFile, "bert", "bert@example.com")
      const id = (yield* ann.run("group", "Plans")).out.trim()
      const code = (yield* ann.run("invite", id, "--uses", "1")).out.trim()
      assert.strictEqual((yield* bob.run("join", code)).out.trim(), id)
      yield* ann.run("send", id, "a plan for the harbour")
      assert.match(
        (yield* bob.run("history", id)).out,
        /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d anna: a plan for the harbour\n$/
      )
      assert.match(
        (yield* bob.run("search", "harbour", "--in", id)).out,
        new RegExp(`^${id} .* anna: a plan for the harbour\n$`)
      )
      assert.match((yield* bob.run("read", id)).out, /^read up to seq \d+\n$/)
      assert.strictEqual((yield* bob.run("conversations")).out, `${id}  Plans\n`)
      const wrong = yield* bob.run("history", id, "--limit", "many")
      assert.strictEqual(wrong.code, 1)
      assert.match(wrong.error, /^chat: .*limit.* \(chat history --help\)\n$/)
    }).pipe(Effect.scoped)
  )

  it.effect("sends files with a message, and saves them", () =>
    Effect.gen(function* () {
      const { home, passwordFile, run } = yield* terminal
      yield* run("register", "--password-file", passwordFile, "fred", "fred@example.com")
      const photo = join(home, "a photo.png")
      writeFileSync(photo, png)
      const note = join(home, "note.txt")
      writeFileSync(note, "a note")
      const sent = yield* run("send", "@fred", "two files", "--attach", photo, "--attach", note)
      assert.deepStrictEqual([sent.code, sent.error], [0, ""])
      assert.strictEqual((yield* run("send", "@fred", "--attach", photo)).code, 0)
      const [, id = ""] =
        /\[a photo\.png ([0-9a-f-]{36})\] \[note\.txt [0-9a-f-]{36}\]\n/.exec((yield* run("history", "@fred")).out) ??
        []
      const saved = join(home, "saved.png")
      const got = yield* run("get", id, saved)
      assert.deepStrictEqual([got.code, got.error, got.out], [0, "", `${saved}\n`])
      assert.deepStrictEqual(readFileSync(saved), png)
      const again = yield* run("get", id, saved)
      assert.strictEqual(again.code, 1)
      assert.match(again.error, /^chat: cannot write .*saved\.png: .*\n$/)
      const missing = yield* run("send", "@fred", "--attach", join(home, "nothing"))
      assert.strictEqual(missing.code, 1)
      assert.match(missing.error, /^chat: cannot read .*nothing\n$/)
    }).pipe(Effect.scoped)
  )

  it.effect("tests a deployment, and says in one line what is wrong", () =>
    Effect.gen(function* () {
      const { passwordFile, run } = yield* terminal
      const fine = yield* run("smoke")
      assert.deepStrictEqual([fine.code, fine.error], [0, ""])
      assert.match(fine.out, /ok {2}receive live \(\d+ ms\)\n/)
      const down = yield* run("smoke", "--url", "http://127.0.0.1:1")
      assert.strictEqual(down.code, 1)
      const silent = /The service does not answer: .*(?:ECONNREFUSED|bad port).*\n$/
      assert.match(down.error, /^chat: ready failed: .*\n$/)
      assert.match(down.error, silent)
      const unreachable = yield* run("login", "--password-file", passwordFile, "--url", "http://127.0.0.1:1", "ann")
      assert.deepStrictEqual([unreachable.code, unreachable.out], [1, ""])
      assert.match(unreachable.error, silent)
      const noUrl = yield* run("login", "--password-file", passwordFile, "--url", "localhost:8080", "ann")
      assert.match(noUrl.error, /^chat: .*must begin with http:\/\/ or https:\/\/, not localhost:8080 .*\n$/)
      const refused = yield* run("--token", "nonsense", "whoami")
      assert.match(refused.error, /^chat: .*the token is invalid.*\n$/)
      const wrong = yield* run("login", "--password-file", passwordFile, "nobody")
      assert.strictEqual(wrong.code, 1)
      assert.match(wrong.error, /^chat: .*\n$/)
      assert.match((yield* run("--completions", "bash")).out, /conversations/)
    }).pipe(Effect.scoped)
  )
})

layer(TestService.layer({ auth: { registration: "invite" } }), { excludeTestServices: true })(
  "the command line, where registering needs an invite",
  (it) => {
    it.effect("registers with the code of one", () =>
      Effect.gen(function* () {
        const { passwordFile, run } = yield* terminal
        const { signIn } = yield* TestService
        const { user } = yield* signIn("bob")
        const group = { kind: "group", title: "Group", memberIds: [] } as const
        const { conversation } = yield* Conversations.use((conversations) => conversations.create(user.id, group))
        const { code } = yield* Invites.use((invites) => invites.create(user.id, conversation.id, {}))
        const register = ["register", "--password-file", passwordFile, "cleo", "cleo@example.com"]
        const refused = yield* run(...register)
        assert.deepStrictEqual([refused.code, refused.out], [1, ""])
        assert.match(refused.error, /^chat: A new account needs the code of an invite\n$/)
        const registered = yield* run(...register, "--invite", code)
        assert.deepStrictEqual([registered.code, registered.error], [0, ""])
        assert.include((yield* run("conversations")).out, conversation.id)
      }).pipe(Effect.scoped)
    )
  }
)

let attempts = 0

/** The tokens expire much earlier than the test ends, so that the processes have to renew them in turns. */
const shortLived = { jwt: { expiration: 4000 }, timers: { sessionExpiring: 1500 } }

layer(TestService.layer(shortLived), { excludeTestServices: true })("the command line, over a long time", (it) => {
  it.effect(
    "works in several processes after the access token has expired",
    () =>
      Effect.gen(function* () {
        const { home, passwordFile, run, start } = yield* terminal
        const { signIn } = yield* TestService
        yield* signIn("bob")
        // The service of an earlier attempt has its user, and the messages.
        const dora = `dora${++attempts}`
        const registered = yield* run("register", "--password-file", passwordFile, dora, `${dora}@example.com`)
        assert.deepStrictEqual([registered.code, registered.error], [0, ""])
        yield* run("send", "@bob", "first")
        const tails = yield* Effect.forEach([1, 2], () =>
          Effect.acquireRelease(
            Effect.sync(() => start("tail", "@bob")),
            (it) => Effect.sync(() => it.kill())
          )
        )
        const shown = tails.map(() => "")
        const lines = Array.from({ length: 5 }, (_, line) => `line ${line}`)
        const complete = Effect.forEach(
          tails,
          (child, index) =>
            Effect.callback<void>((resume) => {
              child.stdout?.on("data", (chunk) => {
                shown[index] += chunk
                if (lines.every((line) => shown[index]?.includes(line))) resume(Effect.void)
              })
            }),
          { concurrency: "unbounded", discard: true }
        )
        const sending = Effect.forEach(lines, (line) => run("send", "@bob", line), { concurrency: 2 })
        const [sent] = yield* Effect.all([sending, complete], { concurrency: 2 })
        assert.deepStrictEqual(
          sent.filter(({ code, error }) => code !== 0 || error !== ""),
          []
        )
        assert.deepStrictEqual(
          tails.map(({ exitCode }) => exitCode),
          [null, null]
        )
        const folder = join(home, "chat-service")
        assert.strictEqual(statSync(join(folder, "session.json")).mode & 0o777, 0o600)
        assert.strictEqual((yield* run("whoami")).code, 0)
      }).pipe(Effect.scoped),
    longTestTimeout
  )

  it.effect("is not stopped by a lock that a process left behind", () =>
    Effect.gen(function* () {
      const { home, passwordFile, run } = yield* terminal
      yield* run("register", "--password-file", passwordFile, "emil", "emil@example.com")
      const lock = join(home, "chat-service", "session.json.lock")
      writeFileSync(lock, "")
      utimesSync(lock, 0, 0)
      // A process that finds a valid token needs no lock.
      const ran = yield* Effect.repeat(run("whoami"), { until: () => !existsSync(lock) })
      assert.deepStrictEqual([ran.code, ran.error], [0, ""])
    }).pipe(Effect.scoped)
  )
})

const withIssuer = Layer.unwrap(
  Effect.map(TestIssuer, ({ settings }) => TestService.layer({ auth: { issuers: [settings] } }))
).pipe(Layer.provideMerge(TestIssuer.layer()))

layer(withIssuer, { excludeTestServices: true })("the command line, with the token of an app", (it) => {
  it.effect("acts as the user of that token, stores nothing, and says in one line when it has expired", () =>
    Effect.gen(function* () {
      const { home, run } = yield* terminal
      const { sign } = yield* TestIssuer
      const token = yield* sign({ sub: "42", preferred_username: "external" })
      assert.match((yield* run("whoami", "--token", token)).out, /^external \(/)
      const group = yield* run("group", "Plans", "--token", token)
      const sent = yield* run("send", group.out.trim(), "hello", "--token", token)
      assert.deepStrictEqual([sent.code, sent.out], [0, "sent, seq 2\n"])
      assert.isFalse(existsSync(join(home, "chat-service")))
      const iat = Math.floor(Date.now() / 1000) - 3600
      const old = yield* sign({ sub: "42", iat }, { expiresInSeconds: -1800 })
      const expired = yield* run("send", group.out.trim(), "hello", "--token", old)
      assert.strictEqual(expired.code, 1)
      assert.match(expired.error, /^chat: .*\n$/)
    }).pipe(Effect.scoped)
  )
})
