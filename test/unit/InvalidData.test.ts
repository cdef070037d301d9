import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Result, Schema } from "effect"
import { decodeInput, invalidData } from "../../src/domain/InvalidData.ts"

describe("what is wrong with input", () => {
  const decode = decodeInput(Schema.Struct({ a: Schema.Array(Schema.String), b: Schema.String }))
  const pathsOf = (input: unknown) => {
    const decoded = decode(input)
    return Result.isFailure(decoded) ? invalidData(decoded.failure).errors?.map(({ path }) => path) : []
  }

  it("is collected from short input", () => {
    assert.deepStrictEqual(pathsOf({ a: [1, "x", 2] }), ["a.0", "a.2", "b"])
  })

  it("is only the first thing in long input", () => {
    assert.deepStrictEqual(pathsOf({ a: Arr.makeBy(500, () => 1) }), ["a.0"])
    assert.deepStrictEqual(pathsOf({ a: [1], c: Arr.makeBy(250, () => ({ d: 1 })) }), ["a.0"])
    assert.isEmpty(pathsOf({ a: Arr.makeBy(500, () => "x"), b: "x" }))
  })
})
