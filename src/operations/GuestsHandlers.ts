import { Effect } from "effect"
import { Guests } from "../services/conversations/Guests.ts"
import { Shedding } from "../services/platform/load/Shedding.ts"
import { asDevice, asPrincipal } from "./Callers.ts"
import { Guests as Declared } from "./Guests.ts"

/** Serves the operations of `Guests`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const guests = yield* Guests
    const admitted = (yield* Shedding).check("connections")
    return Declared.rpcs.of({
      "invite.guest": asDevice((device, { code, displayName }) =>
        Effect.andThen(admitted, guests.join(code, { displayName, ...device }))
      ),
      "user.claim": asPrincipal((principal, account) => guests.claim(principal, account))
    })
  })
)
