import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"

/** What a command of the project says when these packages are wanted and those are installed. */
const said = (wanted: object, installed: object) => {
  const folder = mkdtempSync(join(tmpdir(), "chat-installed-"))
  try {
    for (const file of ["run.sh", "installed.mjs"]) cpSync(`scripts/${file}`, join(folder, "scripts", file))
    mkdirSync(join(folder, "node_modules"))
    const write = (path: string, packages: object) => writeFileSync(join(folder, path), JSON.stringify({ packages }))
    write("node_modules/.package-lock.json", installed)
    write("package-lock.json", { "": {}, ...wanted })
    // As after a pull: the list of what is wanted is newer.
    utimesSync(join(folder, "node_modules/.package-lock.json"), 1, 1)
    const { status, stderr, stdout } = spawnSync("sh", [join(folder, "scripts/run.sh"), "echo", "ran"], {
      encoding: "utf8"
    })
    assert.deepStrictEqual([status, stdout], [0, "ran\n"])
    return stderr
  } finally {
    rmSync(folder, { recursive: true })
  }
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
