import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"

/** Runs a command of the project in a folder that `prepare` has filled. */
const ran = (prepare: (folder: string) => void) => {
  const folder = mkdtempSync(join(tmpdir(), "chat-installed-"))
  try {
    for (const file of ["run.sh", "installed.mjs"]) cpSync(`scripts/${file}`, join(folder, "scripts", file))
    mkdirSync(join(folder, "node_modules/.bin"), { recursive: true })
    prepare(folder)
    return spawnSync("sh", [join(folder, "scripts/run.sh"), "echo", "ran"], { encoding: "utf8" })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** What a command of the project says when these packages are wanted and those are installed. */
const said = (wanted: object, installed: object) => {
  const { status, stderr, stdout } = ran((folder) => {
    const write = (path: string, packages: object) => writeFileSync(join(folder, path), JSON.stringify({ packages }))
    write("node_modules/.package-lock.json", installed)
    write("package-lock.json", { "": {}, ...wanted })
    // As after a pull: the list of what is wanted is newer.
    utimesSync(join(folder, "node_modules/.package-lock.json"), 1, 1)
  })
  assert.deepStrictEqual([status, stdout], [0, "ran\n"])
  return stderr
}

it("a command says when the dependencies have changed since they were installed", () => {
  const a = { "node_modules/a": { version: "1.0.0" } }
  const b = { "node_modules/b": { version: "1.0.0", dev: true } }
  assert.strictEqual(said(a, a), "")
  const other = { "node_modules/a": { version: "1.0.1" } }
  assert.match(said({ ...other, ...b }, { ...a, ...b }), /changed since they were installed: run npm ci\n/)
  assert.match(said({ ...a, "node_modules/c": { version: "1.0.0" } }, { ...a, ...b }), /run npm ci\n/)
  // Packages for development, and optional ones, may have been left out.
  assert.strictEqual(said({ ...a, ...b, "node_modules/d": { version: "1.0.0", optional: true } }, a), "")
  assert.match(said({ ...other, ...b }, a), /run npm ci --omit=dev\n/)
})

it("a command does not run with a Node that is too old, and says which one it needs", () => {
  const { status, stderr, stdout } = ran((folder) => {
    writeFileSync(join(folder, "node_modules/.package-lock.json"), "{}")
    // Node 24.15, as far as it is asked.
    const old = '#!/bin/sh\n[ "$1" = --version ] && echo v24.15.0 || echo undefined\n'
    writeFileSync(join(folder, "node_modules/.bin/node"), old, { mode: 0o755 })
  })
  assert.deepStrictEqual([status, stdout], [1, ""])
  assert.match(stderr, /^Node 24\.16 or later is required, and this is v24\.15\.0: /)
})
