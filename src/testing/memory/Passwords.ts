import { Layer } from "effect"
import { Passwords } from "../../services/identity/Passwords.ts"

/** The same queue and rules around a hash that costs nothing and protects nothing. */
export const layerMemory = Layer.effect(
  Passwords,
  Passwords.make({
    hash: async (password) => `plain:${password}`,
    verify: async (hash, password) => hash === `plain:${password}`
  })
)
