import { Effect, Layer, Redacted } from "effect"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { makeAdmission } from "./Admission.ts"
import { Authorization } from "./Middleware.ts"

export const layer = Layer.effect(
  Authorization,
  Effect.map(makeAdmission, (admit) =>
    Authorization.of({
      bearer: (httpEffect, { credential }) =>
        Effect.flatMap(admit(Redacted.value(credential)), (principal) =>
          Effect.provideService(httpEffect, CurrentPrincipal, principal)
        )
    })
  )
)
