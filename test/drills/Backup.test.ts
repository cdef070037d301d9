import { execFile, execFileSync, spawn, spawnSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import { once } from "node:events"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { PgConnection } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Logger, Schedule } from "effect"
import { inject } from "vitest"
import { backUp, restore } from "../../src/layers/postgres/EmbeddedBackup.ts"
import { startEmbeddedPostgres } from "../../src/layers/postgres/EmbeddedPostgres.ts"
import { type Account, api, connect } from "../support/Client.ts"
import { png, uploadTo } from "../support/Files.ts"
import { dataDirectory, startNode } from "../support/Node.ts"
import { inRepository } from "../support/Prometheus.ts"
import { longTestTimeout } from "../support/TimeLimits.ts"

/** Runs `npm start -- …` to its end. */
const command = (...args: ReadonlyArray<string>) =>
  Effect.callback<{ readonly code: number; readonly stderr: string; readonly stdout: string }>((resume) => {
    const child = execFile(
      process.execPath,
      ["src/main.ts", ...args],
      { cwd: inRepository("."), env: { PATH: process.env.PATH } },
      (_, stdout, stderr) => resume(Effect.succeed({ code: child.exitCode ?? -1, stderr, stdout }))
    )
    return Effect.sync(() => child.kill("SIGTERM"))
  })

const works = { code: 0, stderr: "" }

/** A disk that is not that of the data directories, on Linux. */
const otherDisk = "/dev/shm"
const hasOtherDisk = existsSync(otherDisk) && statSync(otherDisk).dev !== statSync(tmpdir()).dev

/** The bytes of a file. */
const fileAt = (url: string, token: string, path: string) =>
  Effect.promise(async () => {
    const answer = await fetch(url + path, { headers: { authorization: `Bearer ${token}` } })
    assert.strictEqual(answer.status, 200)
    return Buffer.from(await answer.arrayBuffer())
  })

/** Starts a node on the data, and returns the epoch of its log, and the answer to a client with another epoch. */
const resume = Effect.fnUntraced(function* (
  dataDir: string,
  { token }: Account,
  from: { readonly cursors: Readonly<Record<string, number>>; readonly epoch?: string }
) {
  const node = yield* startNode({ "data.dir": dataDir })
  const client = yield* connect(node.url)
  const frames = yield* client.ready(token, from)
  const epoch = frames.flatMap(({ ok }) => (typeof ok?.epoch === "string" ? [ok.epoch] : []))[0]
  return { node, epoch, resets: frames.filter(({ event }) => event === "conversation.reset").length }
})

describe.skipIf(inject("clusters").embedded === null)("a backup of the embedded database", () => {
  it.live(
    "is made while the service writes, has everything that was acknowledged before, and is restored as another log",
    () =>
      Effect.gen(function* () {
        const [dataDir, backups] = [yield* dataDirectory, yield* dataDirectory]
        const file = join(backups, "chat.tar.gz")
        const node = yield* startNode({
          "data.dir": dataDir,
          "limits.commands_per_second": 10_000,
          "limits.commands_burst": 10_000,
          "limits.requests_per_minute": 1_000_000
        })
        const http = api(node.url)
        const ann = yield* http.register("ann")
        const id = yield* http.dm(ann, ann)
        const photo = yield* uploadTo(node.url, ann.token, png, "photo.png")
        const client = yield* connect(node.url)
        const [answer] = yield* client.ready(ann.token)
        const epoch = String(answer?.ok?.epoch)
        let sent = 0
        const send = Effect.suspend(() =>
          client.ok("message.send", { conversationId: id, clientMessageId: `b${++sent}`, body: `body ${sent}` })
        )
        for (let n = 0; n < 200; n++) yield* send
        const before = sent
        const writing = yield* Effect.forkScoped(Effect.repeat(send, Schedule.spaced(5)))
        assert.deepInclude(yield* command("--data-dir", dataDir, "backup", file), works)
        yield* Fiber.interrupt(writing)
        // Who refreshes after the backup stays signed in after the restore: see below.
        const renewed = yield* http.refresh(ann)
        assert.isAbove(sent, before)
        assert.strictEqual(statSync(file).mode & 0o777, 0o600)
        assert.deepStrictEqual(readdirSync(backups), ["chat.tar.gz"])

        // No backup is overwritten.
        const again = yield* command("--data-dir", dataDir, "backup", file)
        assert.strictEqual(again.code, 1)
        assert.match(again.stderr, /^chat-service: .*chat\.tar\.gz is there already; choose another name\n$/)

        const restored = yield* dataDirectory
        assert.deepInclude(yield* command("--data-dir", restored, "restore", file), works)
        assert.sameMembers(readdirSync(restored), ["files", "jwt.secret", "postgres"])
        assert.notInclude(readdirSync(join(restored, "files")), "id")
        assert.strictEqual(
          readFileSync(join(restored, "jwt.secret"), "utf8"),
          readFileSync(join(dataDir, "jwt.secret"), "utf8")
        )
        const first = yield* resume(restored, ann, { cursors: { [id]: 2 }, epoch })
        assert.deepStrictEqual([first.resets, first.epoch === epoch], [1, false])
        assert.isTrue(png.equals(yield* fileAt(first.node.url, ann.token, photo.url)))
        const history = yield* api(first.node.url).history(ann, id)
        const ids = history.map(({ clientMessageId }) => clientMessageId)
        assert.deepStrictEqual(
          ids,
          ids.map((_, n) => `b${n + 1}`)
        )
        assert.isAtLeast(ids.length, before)
        const body = { conversationId: id, clientMessageId: "after", body: "after" }
        const writer = yield* connect(first.node.url)
        yield* writer.ready(renewed.token)
        const restoredApi = api(first.node.url)
        yield* restoredApi.refresh(yield* restoredApi.refresh(renewed))
        assert.deepStrictEqual(
          first.node.log.filter(({ level }) => level === "WARN" || level === "ERROR"),
          []
        )
        assert.strictEqual((yield* writer.ok("message.send", body)).seq, ids.length + 2)
        first.node.kill("SIGTERM")
        assert.strictEqual(yield* first.node.exit, 0)

        // A backup of what was restored, made without a service, is another log again.
        const copy = join(backups, "copy.tar.gz")
        assert.deepInclude(yield* command("--data-dir", restored, "backup", copy), works)
        const other = yield* dataDirectory
        assert.deepInclude(yield* command("--data-dir", other, "restore", copy), works)
        const stored = readdirSync(join(other, "files"), { recursive: true, withFileTypes: true })
        assert.isNotEmpty(stored.filter((entry) => entry.isFile()))
        const next = yield* resume(other, ann, { cursors: { [id]: 2 }, epoch: first.epoch ?? "" })
        assert.strictEqual(next.resets, 1)
        assert.strictEqual(new Set([epoch, first.epoch, next.epoch]).size, 3)
      }).pipe(Effect.scoped),
    longTestTimeout
  )

  it.live.skipIf(!hasOtherDisk)("puts the files that the database knows on another disk, and no others", () =>
    Effect.gen(function* () {
      const [dataDir, backups, target] = [yield* dataDirectory, yield* dataDirectory, yield* dataDirectory]
      const disk = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(otherDisk, "chat-files-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true }))
      )
      const [known, unknown] = [randomUUID(), randomUUID()]
      yield* Effect.gen(function* () {
        const address = yield* startEmbeddedPostgres({ dataDir, durability: "test" })
        const connection = yield* PgConnection.make({ ...address, database: "postgres" })
        yield* connection.query(`CREATE TABLE blobs AS SELECT '${known}'::uuid AS id`, [], false)
      }).pipe(Effect.scoped)
      for (const name of [known, `${known}.320`, unknown]) {
        mkdirSync(join(dataDir, "files", name.slice(0, 2)), { recursive: true })
        writeFileSync(join(dataDir, "files", name.slice(0, 2), name), name)
      }
      const file = join(backups, "chat.tar.gz")
      yield* backUp(dataDir, file)
      symlinkSync(disk, join(target, "files"))
      yield* restore(target, file)
      const stored = readdirSync(disk, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
      assert.sameMembers(
        stored.map(({ name }) => name),
        [known, `${known}.320`]
      )
      for (const { name, parentPath } of stored) assert.strictEqual(readFileSync(join(parentPath, name), "utf8"), name)
    }).pipe(Effect.scoped)
  )

  it.live("is restored again after a restore that was killed, of which nothing is left", () =>
    Effect.gen(function* () {
      const [dataDir, backups, target] = [yield* dataDirectory, yield* dataDirectory, yield* dataDirectory]
      const file = join(backups, "chat.tar.gz")
      yield* Effect.scoped(startEmbeddedPostgres({ dataDir, durability: "test" }))
      yield* backUp(dataDir, file)
      const killed = spawn(process.execPath, ["src/main.ts", "--data-dir", target, "restore", file], {
        cwd: inRepository("."),
        stdio: "ignore"
      })
      const lock = join(target, `restore.${killed.pid}`, "postgres", "postmaster.pid")
      // The lock file of the server of the restore. Its fifth line is the directory of its socket, and empty before that is
      // there.
      const [, , , , sockets = ""] = yield* Effect.sync(() =>
        existsSync(lock) ? readFileSync(lock, "utf8").split("\n") : []
      ).pipe(Effect.repeat({ schedule: Schedule.spaced(10), until: ([, , , , directory = ""]) => directory !== "" }))
      const gone = once(killed, "exit")
      killed.kill("SIGKILL")
      yield* Effect.promise(() => gone)
      assert.isTrue(existsSync(sockets))

      yield* restore(target, file)
      assert.deepStrictEqual([readdirSync(target), existsSync(sockets)], [["postgres"], false])
    }).pipe(Effect.provide(Logger.layer([])), Effect.scoped)
  )

  it.live(
    "whose restore was killed when only the key was in its place is no reason to begin with an empty database",
    () =>
      Effect.gen(function* () {
        const [dataDir, backups, target] = [yield* dataDirectory, yield* dataDirectory, yield* dataDirectory]
        const file = join(backups, "chat.tar.gz")
        const key = "the key of the backup, which signs tokens"
        yield* Effect.scoped(startEmbeddedPostgres({ dataDir, durability: "test" }))
        writeFileSync(join(dataDir, "jwt.secret"), key, { mode: 0o600 })
        yield* backUp(dataDir, file)
        yield* restore(target, file)
        const { pid } = spawnSync(process.execPath, ["--version"])
        mkdirSync(join(target, `restore.${pid}`))
        renameSync(join(target, "postgres"), join(target, `restore.${pid}`, "postgres"))

        const start = yield* command("--port", "0", "--data-dir", target)
        assert.strictEqual(start.code, 1)
        assert.match(start.stderr, /^chat-service: data\.dir: a restore into \S+ has not ended \(restore\.\d+\): .*\n$/)
        assert.sameMembers(readdirSync(target), ["jwt.secret", `restore.${pid}`])

        yield* restore(target, file)
        assert.sameMembers(readdirSync(target), ["jwt.secret", "postgres"])
        assert.strictEqual(readFileSync(join(target, "jwt.secret"), "utf8"), key)
      }).pipe(Effect.provide(Logger.layer([])), Effect.scoped)
  )

  it.live("is refused with one line when it is damaged, not a backup, or empty, and leaves nothing behind", () =>
    Effect.gen(function* () {
      const [dataDir, backups, target] = [yield* dataDirectory, yield* dataDirectory, yield* dataDirectory]
      const file = join(backups, "chat.tar.gz")
      /** The line of a failure. */
      const refusal = (act: Effect.Effect<void, { readonly message: string }>) =>
        Effect.map(Effect.flip(Effect.provide(act, Logger.layer([]))), ({ message }) => message)
      assert.match(yield* refusal(backUp(dataDir, file)), /^data\.dir: there is no embedded database in/)
      assert.deepStrictEqual([readdirSync(dataDir), existsSync(file)], [[], false])

      yield* Effect.gen(function* () {
        yield* Effect.scoped(startEmbeddedPostgres({ dataDir, durability: "test" }))
        yield* backUp(dataDir, file)
      }).pipe(Effect.provide(Logger.layer([])))
      const elsewhere = join(backups, "missing", "chat.tar.gz")
      assert.match(yield* refusal(backUp(dataDir, elsewhere)), /^embedded PostgreSQL: cannot write the backup: ENOENT/)
      assert.match(yield* refusal(restore(dataDir, file)), /^data\.dir: .* is there already/)

      truncateSync(file, Math.floor(statSync(file).size / 2))
      const text = join(backups, "text")
      writeFileSync(text, "not a backup")
      for (const path of [file, text, join(backups, "absent")]) {
        const line = yield* refusal(restore(target, path))
        assert.match(line, /^\S+ is not a complete backup of the embedded database \(.*\)$/)
        assert.deepStrictEqual(readdirSync(target), [])
      }
      const foreign = join(backups, "foreign.tar.gz")
      mkdirSync(join(backups, "postgres"))
      writeFileSync(join(backups, "postgres", "backup_label"), "")
      execFileSync("tar", ["-C", backups, "-czf", foreign, "postgres"])
      const line = yield* refusal(restore(target, foreign))
      assert.match(line, /foreign\.tar\.gz is not a complete backup of the embedded database$/)
      assert.deepStrictEqual(readdirSync(target), [])

      const elsewhereFiles = ["--set", "s3.bucket=photos", "--data-dir", dataDir, "backup", join(backups, "s3.tar.gz")]
      assert.match((yield* command(...elsewhereFiles)).stdout, /are in S3, and not in the backup.*photos/)
      const server = yield* command("--set", "postgres.host=db", "backup", "x")
      assert.strictEqual(server.code, 1)
      assert.match(server.stderr, /^chat-service: backup and restore copy the embedded database.*\n$/)
    }).pipe(Effect.scoped)
  )
})
