import { describe } from "@effect/vitest"
import { PubSub } from "../../src/services/PubSub.ts"
import { pubsubContract } from "./PubSub.contract.ts"

describe("in this process", () => pubsubContract(PubSub.layer))
