import { Effect, Layer, Redacted } from "effect"
import { HttpServerRequest } from "effect/http"
import {
  Authorization,
  actAsHeader,
  CurrentDevice,
  CurrentPrincipal,
  CurrentService,
  Public,
  ServiceAuthorization
} from "../../operations/Callers.ts"
import { makeAdmission } from "./Admission.ts"
import { CurrentRequest } from "./CurrentRequest.ts"
import { makeServiceAdmission } from "./ServiceAdmission.ts"

const signedIn = Layer.effect(
  Authorization,
  Effect.map(makeAdmission, (admit) =>
    Authorization.of({
      bearer: (httpEffect, { credential }) =>
        Effect.gen(function* () {
          const { headers } = yield* HttpServerRequest.HttpServerRequest
          const principal = yield* admit(Redacted.value(credential), headers[actAsHeader])
          return yield* Effect.provideService(httpEffect, CurrentPrincipal, principal)
        })
    })
  )
)

const services = Layer.effect(
  ServiceAuthorization,
  Effect.map(makeServiceAdmission, (admit) =>
    ServiceAuthorization.of({
      serviceToken: (httpEffect, { credential, endpoint }) =>
        Effect.flatMap(admit(Redacted.value(credential), endpoint.annotations), (service) =>
          Effect.provideService(httpEffect, CurrentService, service)
        )
    })
  )
)

const everybody = Layer.succeed(Public, (httpEffect) =>
  Effect.gen(function* () {
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    const { address } = yield* CurrentRequest
    return yield* Effect.provideService(httpEffect, CurrentDevice, {
      userAgent: headers["user-agent"] ?? "",
      ip: address
    })
  })
)

/**
 * Finds out who makes a request: the signed-in user, for the endpoints of operators the program, or for the endpoints
 * that need no session the device.
 */
export const layer = Layer.mergeAll(signedIn, services, everybody)
