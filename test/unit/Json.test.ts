import { assert, describe, it } from "@effect/vitest"
import { deeperThan, moreItemsThan, parseJson } from "../../src/domain/Json.ts"
import { randomOf } from "../support/Random.ts"

describe("the depth of JSON", () => {
  const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth)

  it("is found without parsing", () => {
    assert.isFalse(deeperThan(nested(32), 32))
    assert.isTrue(deeperThan(nested(33), 32))
    assert.isFalse(deeperThan(`{"a":${nested(31)}}`, 32))
    assert.isTrue(deeperThan(`{"a":${nested(32)}}`, 32))
    assert.isFalse(deeperThan(`[${Array.from({ length: 1000 }, () => "[]").join()}]`, 2))
    assert.isTrue(deeperThan("[".repeat(1_000_000), 32))
  })

  it("does not count brackets in strings", () => {
    assert.isFalse(deeperThan(JSON.stringify("[".repeat(100)), 1))
    assert.isFalse(deeperThan(JSON.stringify({ 'a"[{': ['\\"[[[', "\\", "]]"] }), 2))
    assert.isTrue(deeperThan(`["\\\\",[["\\""]]]`, 2))
    assert.isFalse(deeperThan(`"[[[[`, 1))
  })

  it("agrees with a parser on random JSON", () => {
    const random = randomOf(1)
    const make = (depth: number): unknown =>
      depth === 0 || random() < 0.2
        ? '"\\[{'.repeat(Math.floor(random() * 3))
        : random() < 0.5
          ? Array.from({ length: Math.floor(random() * 4) }, () => make(depth - 1))
          : Object.fromEntries(Array.from({ length: Math.floor(random() * 4) }, (_, n) => [`[${n}"`, make(depth - 1)]))
    const depthOf = (value: unknown): number =>
      typeof value === "object" && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0
    for (let n = 0; n < 500; n++) {
      const value = make(6)
      const depth = depthOf(value)
      const json = JSON.stringify(value)
      assert.isFalse(deeperThan(json, depth))
      if (depth > 0) assert.isTrue(deeperThan(json, depth - 1))
    }
  })
})

describe("the items of an array in JSON", () => {
  it("are counted without what is in them, up to the first one too many", () => {
    const items = ['{"a":1,"b":[1,2,3]}', '"x,y]"', "[[],[]]", " 1 "]
    const texts = [`[${items.join()}]`, `\n [ ${items.join(" , ")} ]`]
    for (const text of texts)
      assert.deepStrictEqual([moreItemsThan(text, 4), moreItemsThan(text, 3)], [false, true], text)
    assert.isTrue(moreItemsThan("[1,2,", 2), "whatever follows")
    assert.isFalse(moreItemsThan(`{"a":1,"b":2,"c":3}`, 1), "it is no array")
    assert.isFalse(moreItemsThan("[]", 1))
  })
})

describe("an integer in JSON", () => {
  it("may be written with a fraction or an exponent", () => {
    for (const [text, integer] of [
      ["1.0", 1],
      ["-1.00e0", -1],
      ["1e2", 100],
      ["1200E-2", 12],
      ["0.012e3", 12],
      ["-0.0", -0],
      ["0e-400", 0],
      ["9007199254740991.000", 9_007_199_254_740_991],
      [`1${"0".repeat(400)}e-400`, 1]
    ] as const)
      assert.deepStrictEqual(parseJson(`{"id":${text}}`), { id: integer }, text)
  })

  it("is not what another number is rounded to", () => {
    for (const text of [
      "1e-400",
      "-1e-400",
      `0.${"0".repeat(400)}1`,
      "1.00000000000000000001",
      "0.99999999999999999999",
      "9007199254740990.4",
      `1e-${"9".repeat(30)}`
    ])
      assert.deepStrictEqual(parseJson(`{ "id" :\n ${text} }`), { id: Number.POSITIVE_INFINITY }, text)
  })

  it("is looked for in little more time than all is parsed", () => {
    const text = `{"a":1.5,"b":[${Array.from({ length: 200_000 }, () => 1).join()}]}`
    const shortest = (parse: (text: string) => unknown) =>
      Math.min(
        ...Array.from({ length: 5 }, () => {
          const since = performance.now()
          parse(text)
          return performance.now() - since
        })
      )
    assert.isBelow(shortest(parseJson), 50 * shortest(JSON.parse))
  })

  it("leaves other numbers and texts as they are", () => {
    const text = `{"a":1.5,"b":[0.1,{"c":-2.5e-3}],"d":"e: 1e-400","f":12}`
    assert.deepStrictEqual(parseJson(text), JSON.parse(text))
    assert.isUndefined(parseJson(`{"a":1.5`))
  })
})
