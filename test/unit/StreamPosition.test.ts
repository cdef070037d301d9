import { assert, describe, it } from "@effect/vitest"
import { ConversationId } from "../../src/domain/Ids.ts"
import { parsePosition, StreamPosition } from "../../src/realtime/StreamPosition.ts"
import type { Vector } from "../../src/services/log/StreamPositions.ts"

const id = (n: number) => ConversationId.make(`01a20000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`)
const base = "01a2ffff-0000-7000-8000-000000000000"
const stored: Vector = { seqs: Array.from({ length: 40 }, (_, n) => [id(n), n + 1]), userSeq: 7 }

const read = (text: string) => parsePosition(text)?.apply(stored)

describe("the position of a stream", () => {
  it("is read back from its id: what went on, what is new, what was left, and the user's own state", () => {
    const position = new StreamPosition(base, stored)
    position.set(id(0), 100)
    position.set(id(30), 2 ** 53 - 1)
    position.set(id(99), 5)
    position.set(id(1), undefined)
    position.setUserSeq(9)
    const vector = read(position.id)
    assert.strictEqual(vector?.userSeq, 9)
    const seqs = new Map(vector?.seqs)
    assert.deepStrictEqual(
      [id(0), id(30), id(99), id(1), id(2)].map((conversation) => seqs.get(conversation)),
      [100, 2 ** 53 - 1, 5, undefined, 3]
    )
    assert.strictEqual(seqs.size, 40)
  })

  it("is the same after a new base, with later events in the delta", () => {
    const position = new StreamPosition(base, stored)
    position.set(id(0), 100)
    const { vector } = position
    position.set(id(2), 50)
    position.rebase("01a2eeee-0000-7000-8000-000000000000", vector)
    const parsed = parsePosition(position.id)
    assert.strictEqual(parsed?.base, "01a2eeee-0000-7000-8000-000000000000")
    const seqs = new Map(parsed?.apply(vector)?.seqs)
    assert.deepStrictEqual([seqs.get(id(0)), seqs.get(id(2)), seqs.get(id(3))], [100, 50, 4])
  })

  it("is undefined for an id that is not ours", () => {
    for (const text of [
      "",
      "x.",
      "no-base.0:1",
      `${base}.not-a-uuid-at-all:5`,
      `${base}.*:!`,
      `${base}.*:-`,
      `${base}.0:!!`,
      `${base}.0:-5`,
      `${base}.0:${"z".repeat(11)}`,
      `${base}.0:${"z".repeat(400)}`,
      `${base}.__proto__:1`,
      `${base}.constructor:1`,
      `${base}.zz:1`,
      `${base}.0:1,`,
      `${base}.0:1.0:1`
    ]) {
      assert.isUndefined(read(text), text)
    }
  })

  it("grows by what a client claims up to 5,000 conversations, and may have more that we have stored", () => {
    const vectorOf = (count: number): Vector => ({
      seqs: Array.from({ length: count }, (_, n) => [id(n), 1]),
      userSeq: 0
    })
    const grown = (count: number, delta: string) =>
      parsePosition(`${base}.${delta}`)?.apply(vectorOf(count))?.seqs.length
    assert.strictEqual(grown(4999, `${id(10_000)}:1`), 5000)
    assert.isUndefined(grown(5000, `${id(10_000)}:1`))
    assert.strictEqual(grown(6000, "0:2"), 6000)
    assert.strictEqual(grown(6000, `0:-,${id(10_000)}:1`), 6000)
    assert.isUndefined(grown(6000, `${id(10_000)}:1`))
  })
})
