import { describe } from "@effect/vitest"
import { PubSub } from "../../../src/services/bus/PubSub.ts"
import { pubSubContract } from "./PubSub.contract.ts"

describe("in this process", () => pubSubContract(PubSub.layer))
