import { assert, describe, it } from "@effect/vitest"
import { ConversationId } from "../../src/domain/Ids.ts"
import { type CommandKind, CommandLanes } from "../../src/ws/CommandLanes.ts"

const [here, elsewhere] = [1, 2].map((n) => ConversationId.make(`018f0000-0000-7000-8000-00000000000${n}`))

/** Commands by their names, which tell when they start, and which end when the test says so. */
const commands = () => {
  const lanes = new CommandLanes()
  const started: Array<string> = []
  const ends = new Map<string, () => void>()
  return {
    started,
    run: (name: string, kind: CommandKind, id = here ?? assert.fail()) =>
      lanes.run(
        id,
        kind,
        (done) => {
          started.push(name)
          ends.set(name, done)
        },
        () => {}
      ),
    end: (name: string) => (ends.get(name) ?? assert.fail(name))()
  }
}

describe("the commands of a conversation", () => {
  it("run together while they are sends", () => {
    const { end, run, started } = commands()
    for (const name of ["one", "two"]) run(name, "send")
    run("elsewhere", "other", elsewhere)
    assert.deepStrictEqual(started, ["one", "two", "elsewhere"])
    end("two")
    run("three", "send")
    assert.deepStrictEqual(started, ["one", "two", "elsewhere", "three"])
  })

  it("wait for a command that is no send", () => {
    const { end, run, started } = commands()
    run("edit", "other")
    run("send", "send")
    run("delete", "other")
    assert.deepStrictEqual(started, ["edit"])
    end("edit")
    assert.deepStrictEqual(started, ["edit", "send"])
    end("send")
    assert.deepStrictEqual(started, ["edit", "send", "delete"])
  })

  it("do not overtake one that waits", () => {
    const { end, run, started } = commands()
    for (const name of ["one", "two"]) run(name, "send")
    run("edit", "other")
    run("three", "send")
    end("one")
    assert.deepStrictEqual(started, ["one", "two"])
    end("two")
    assert.deepStrictEqual(started, ["one", "two", "edit"])
    end("edit")
    assert.deepStrictEqual(started, ["one", "two", "edit", "three"])
  })
})
