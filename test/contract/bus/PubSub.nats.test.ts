import { afterAll, describe } from "@effect/vitest"
import { Effect, ManagedRuntime } from "effect"
import { layerNats } from "../../../src/layers/nats/NatsPubSub.ts"
import { PubSub } from "../../../src/services/bus/PubSub.ts"
import { jwtSection, natsSection, somePrefix } from "../../support/Bus.ts"
import { sharedNatsIsThere } from "../../support/NatsServer.ts"
import { pubSubContract } from "./PubSub.contract.ts"

const name = "on NATS at 127.0.0.1:4222"

describe.skipIf(!sharedNatsIsThere)(sharedNatsIsThere ? name : `${name} (not there)`, () => {
  const node = () => natsSection({ prefix: somePrefix() })

  describe("one node", () => pubSubContract(layerNats(node(), jwtSection())))

  describe("two nodes", () => {
    const service = node()
    const other = ManagedRuntime.make(layerNats(service, jwtSection()))
    afterAll(() => other.dispose())
    pubSubContract(
      layerNats(service, jwtSection()),
      Effect.promise(() => other.runPromise(PubSub))
    )
  })
})
