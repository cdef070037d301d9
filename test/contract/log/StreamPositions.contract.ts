import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Effect, type Layer } from "effect"
import { StreamPositions } from "../../../src/services/log/StreamPositions.ts"
import { type Chat, nowhere, person } from "../../support/Chat.ts"

/** The contract of StreamPositions, for every Layer. */
export const streamPositionsContract = <E>(layer: Layer.Layer<Chat | StreamPositions, E>) => {
  withLayer(layer)("StreamPositions", (it) => {
    it.effect("are loaded by their user alone, and the last 100 of a user are kept", () =>
      Effect.gen(function* () {
        const positions = yield* StreamPositions
        const [me, other] = [yield* person, yield* person]
        const vector = (userSeq: number) => ({ seqs: [[nowhere, userSeq] as const], userSeq })
        const ids = yield* Effect.forEach(Arr.range(1, 100), (n) => positions.store(me, vector(n)))
        const theirs = yield* positions.store(other, vector(0))
        assert.isUndefined(yield* positions.load(other, ids[0] ?? ""))
        assert.deepStrictEqual(yield* positions.load(me, ids[0] ?? ""), vector(1))
        const last = [yield* positions.store(me, vector(101)), yield* positions.store(me, vector(102))]
        const found = yield* Effect.forEach([...ids, ...last], (id) => positions.load(me, id))
        assert.deepStrictEqual(
          found.map((each) => each?.userSeq),
          [1, undefined, undefined, ...Arr.range(4, 102)],
          "the first was used since, and the second and third were used longest ago"
        )
        assert.deepStrictEqual(yield* positions.load(other, theirs), vector(0))
      })
    )
  })
}
