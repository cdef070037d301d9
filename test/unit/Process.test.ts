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
  it.each(["SIGTERM", "SIGINT"] as const)("%s lets the program stop, and that is no failure", async (signal) => {
    const { child, end } = await start("clean")
    child.kill(signal)
    assert.deepStrictEqual(await end(), { code: 0, output: "running\ndrained\n" })
  })

  it("SIGHUP ends nothing", async () => {
    const { child, end } = await start("clean")
    child.kill("SIGHUP")
    await setTimeout(400)
    assert.deepStrictEqual([child.exitCode, child.signalCode], [null, null])
    child.kill("SIGTERM")
    assert.deepStrictEqual(await end(), { code: 0, output: "running\ndrained\n" })
  })

  it("that comes twice at once, as from npm and a terminal, counts once", async () => {
    const { child, end } = await start("stuck", "50")
    child.kill("SIGINT")
    child.kill("SIGTERM")
    assert.strictEqual((await end()).code, 1)
  })

  it("the second time ends the program at once", async () => {
    const { child, end } = await start("stuck")
    child.kill("SIGTERM")
    // Only the time tells a second signal from an echo of the first one.
    await setTimeout(400)
    child.kill("SIGTERM")
    assert.strictEqual((await end()).code, 143)
  })

  it("ends a program whose stop hangs, with a failure", async () => {
    const { child, end } = await start("stuck", "50")
    child.kill("SIGTERM")
    assert.strictEqual((await end()).code, 1)
  })

  it("does not hide the failure of a stop", async () => {
    const { child, end } = await start("broken")
    child.kill("SIGTERM")
    assert.strictEqual((await end()).code, 1)
  })
})
