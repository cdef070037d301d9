import { Effect } from "effect"
import { PasswordResets } from "../services/admin/PasswordResets.ts"
import { actorOf, asDevice, asService } from "./Callers.ts"
import { PasswordResets as Declared } from "./PasswordResets.ts"

/** Serves the operations of `PasswordResets`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const resets = yield* PasswordResets
    return Declared.rpcs.of({
      "admin.setPassword": asService((service, { password, userId }) => resets.set(actorOf(service), userId, password)),
      "admin.resetPassword": asService((service, { userId }) => resets.create(actorOf(service), userId)),
      "auth.reset": asDevice((_, request) => resets.use(request))
    })
  })
)
