import { Context, Duration, Effect } from "effect"
import { Forbidden, Unauthenticated } from "../../domain/Problem.ts"
import { RequiredScope } from "../../operations/Callers.ts"
import { ServiceTokens } from "../../services/admin/ServiceTokens.ts"
import { Limits } from "../../services/platform/Limits.ts"
import { Settings } from "../../services/platform/Settings.ts"
import { serviceRequestsKey } from "./Admission.ts"
import { CurrentRequest } from "./CurrentRequest.ts"

const minute = Duration.minutes(1)

const noToken = new Unauthenticated({ detail: "There is no service token" })

/**
 * Makes the function that authenticates the program that makes the request, counts the request against those of its token
 * per minute, and checks that the token has the scope of the operation, which has these annotations. There is no cookie.
 */
export const makeServiceAdmission = Effect.gen(function* () {
  const limiter = yield* Limits
  const tokens = yield* ServiceTokens
  const limit = (yield* Settings).limits.serviceRequestsPerMinute

  return Effect.fnUntraced(function* (token: string, annotations: Context.Context<never>) {
    const current = yield* CurrentRequest
    if (token === "") return yield* noToken
    const service = yield* tokens.authenticate(token)
    current.serviceTokenId = service.tokenId
    yield* limiter.take(serviceRequestsKey(service.tokenId), limit, minute)
    const scope = Context.getOrUndefined(annotations, RequiredScope)
    if (scope === undefined || !service.scopes.includes(scope)) {
      return yield* new Forbidden({ detail: `This needs a service token with the scope ${scope}` })
    }
    return service
  })
})
