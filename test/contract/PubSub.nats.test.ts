import { afterAll, describe } from "@effect/vitest"
import { Effect, ManagedRuntime } from "effect"
import { layerNats } from "../../src/layers/NatsPubSub.ts"
import { PubSub } from "../../src/services/PubSub.ts"
import { somePrefix } from "../support/Bus.ts"
import { sharedNatsIsThere } from "../support/NatsServer.ts"
import { pubsubContract } from "./PubSub.contract.ts"

const name = "on NATS at 127.0.0.1:4222"

describe.skipIf(!sharedNatsIsThere)(sharedNatsIsThere ? name : `${name} (not there)`, () => {
  const node = () => ({ address: "nats://127.0.0.1:4222", prefix: somePrefix() })

  describe("one node", () => pubsubContract(layerNats(node())))

  describe("two nodes", () => {
    const service = node()
    const other = ManagedRuntime.make(layerNats(service))
    afterAll(() => other.dispose())
    pubsubContract(
      layerNats(service),
      Effect.promise(() => other.runPromise(PubSub))
    )
  })
})
