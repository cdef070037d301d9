import { Effect } from "effect"
import { RegistrationAdmin } from "../services/admin/RegistrationAdmin.ts"
import { actorOf, asService } from "./Callers.ts"
import { RegistrationAdmin as Declared } from "./RegistrationAdmin.ts"

/** Serves the operations of `RegistrationAdmin`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const registration = yield* RegistrationAdmin
    return Declared.rpcs.of({
      "admin.registration": asService(() => registration.get),
      "admin.setRegistration": asService((service, { mode }) => registration.set(actorOf(service), mode))
    })
  })
)
