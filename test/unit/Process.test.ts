import { spawn } from "node:child_process"
import { once } from "node:events"
import { setTimeout } from "node:timers/promises"
import { assert, describe, it } from "@effect/vitest"

const start = async (...args: ReadonlyArray<string>) => {
  const child = spawn(process.execPath, ["test/support/stoppable.ts", ...args], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  const exit = once(child, "exit")
  let output = ""
  child.stdout.on("data", (chunk) => {
    output += chunk
  })
  await once(child.stdout, "data")
  const end = async () => {
    const [code] = await exit
    return { code, output }
  }
  return { child, end }
}

describe("a signal", () => {
  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
    "%s lets the program stop, and that is no failure",
    async (signal) => {
      const { child, end } = await start("clean")
      child.kill(signal)
      assert.deepStrictEqual(await end(), { code: 0, output: "running\ndrained\n" })
    }
  )

  it("that comes twice at once, as from npm and a terminal, counts once", async () => {
    const { child, end } = await start("stuck", "50")
    child.kill("SIGINT")
    child.kill("SIGTERM")
    assert.strictEqual((await end()).code, 1)
  })

  it("ends the program at once when it is the second", async () => {
    const { child, end } = await start("stuck")
    child.kill("SIGTERM")
    // The second one is told from an echo of the first by time alone.
    await setTimeout(400)
    child.kill("SIGTERM")
    assert.strictEqual((await end()).code, 143)
  })

  it("ends a stop that hangs after its time, with a failure", async () => {
    const { child, end } = await start("stuck", "50")
    child.kill("SIGTERM")
    assert.strictEqual((await end()).code, 1)
  })

  it("does not hide a stop that fails", async () => {
    const { child, end } = await start("broken")
    child.kill("SIGTERM")
    assert.strictEqual((await end()).code, 1)
  })
})
