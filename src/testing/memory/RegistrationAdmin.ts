import { Effect, Layer } from "effect"
import { RegistrationAdmin } from "../../services/admin/RegistrationAdmin.ts"
import { RegistrationChoice } from "../../services/conversations/AccountOpening.ts"
import { addAudit } from "./Audit.ts"
import { Memory } from "./State.ts"

/** The choice of an operator in `Memory`. */
export const layerChoice = Layer.effect(
  RegistrationChoice,
  Effect.map(Memory, (memory) => RegistrationChoice.of({ get: Effect.sync(() => memory.registration.chosen) }))
)

/** Choosing it: `choose_registration` in SQL. */
export const layerMemory = Layer.effect(
  RegistrationAdmin,
  Effect.flatMap(Memory, (memory) =>
    RegistrationAdmin.make(
      Effect.fnUntraced(function* (actor, mode) {
        const chosen = mode ?? undefined
        if (memory.registration.chosen === chosen) return
        memory.registration.chosen = chosen
        const target = { targetKind: "setting", targetId: "auth.registration" }
        yield* addAudit(memory, { actor, act: "admin.setRegistration", ...target, detail: { mode } })
      })
    )
  )
)
