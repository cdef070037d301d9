import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { inRepository } from "../support/Prometheus.ts"

const program = "/usr/bin/systemd-analyze"

/** The unit, as of an installation in this repository. */
const unit = readFileSync(inRepository("deploy/systemd/chat-service@.service"), "utf8")
  .replaceAll("/usr/bin/node", process.execPath)
  .replaceAll("/opt/chat-service", inRepository("."))

const verify = (text: string) => {
  const directory = mkdtempSync(join(tmpdir(), "chat-systemd-"))
  try {
    const file = join(directory, "chat-service@8080.service")
    writeFileSync(file, text)
    return spawnSync(program, ["verify", file], { encoding: "utf8" }).stderr
  } finally {
    rmSync(directory, { recursive: true })
  }
}

describe.skipIf(!existsSync(program))(`the unit of systemd${existsSync(program) ? "" : " (apt: systemd)"}`, () => {
  it("is understood by systemd", () => {
    assert.strictEqual(verify(unit), "")
    assert.match(verify(unit.replace("KillMode=", "KilMode=")), /KilMode/)
    assert.match(verify(unit.replace(process.execPath, "/no/node")), /not executable/)
  })

  it("gives the service the time that a stop may take", () => {
    assert.match(unit, /^TimeoutStopSec=15$/m)
    assert.match(unit, /^KillMode=mixed$/m)
  })
})
