import { Context, Effect, Schema } from "effect"
import { HttpApiMiddleware, HttpApiSecurity, OpenApi } from "effect/http-api"
import { RpcMiddleware } from "effect/rpc"
import type { UserId } from "../domain/Ids.ts"
import {
  Forbidden,
  Internal,
  InvalidRequest,
  RateLimited,
  TooLarge,
  Unauthenticated,
  Unavailable,
  UnsupportedMediaType
} from "../domain/Problem.ts"
import type { ServicePrincipal, ServiceScope } from "../domain/ServiceToken.ts"
import type { Principal } from "../domain/Session.ts"

/** The signed-in user and session that make a call, over any transport. */
export class CurrentPrincipal extends Context.Service<CurrentPrincipal, Principal>()(
  "chat/operations/CurrentPrincipal"
) {}

/** The device that a call comes from, which needs no session. */
export class CurrentDevice extends Context.Service<
  CurrentDevice,
  { readonly userAgent: string; readonly ip: string }
>()("chat/operations/CurrentDevice") {}

/**
 * Makes a handler that gets the id of the calling user, and then the payload of the call, and that waits for no other call
 * of the user (see `asUser`). Handlers take their services when they are made: a call needs nothing but its caller.
 */
export const asUserAtOnce =
  <Payload, A, E>(handle: (userId: UserId, payload: Payload) => Effect.Effect<A, E>) =>
  (payload: Payload): Effect.Effect<A, E, CurrentPrincipal> =>
    Effect.flatMap(CurrentPrincipal, ({ userId }) => handle(userId, payload))

const onlyThemselves = new Forbidden({
  detail: "Only the users themselves may do this, not a program that acts as them, and no bot"
})

/**
 * Makes a handler that gets the principal, for the few operations that concern the user's password and sessions. No
 * program may ask for them in the name of a user, and bots have neither.
 */
export const asPrincipal =
  <Payload, A, E>(handle: (principal: Principal, payload: Payload) => Effect.Effect<A, E>) =>
  (payload: Payload): Effect.Effect<A, E | Forbidden, CurrentPrincipal> =>
    Effect.flatMap(
      CurrentPrincipal,
      (principal): Effect.Effect<A, E | Forbidden> =>
        principal.serviceTokenId === undefined ? handle(principal, payload) : Effect.fail(onlyThemselves)
    )

/** Makes a handler that gets the calling device, for the operations that need no session. */
export const asDevice =
  <Payload, A, E>(handle: (device: CurrentDevice["Service"], payload: Payload) => Effect.Effect<A, E>) =>
  (payload: Payload): Effect.Effect<A, E, CurrentDevice> =>
    Effect.flatMap(CurrentDevice, (device) => handle(device, payload))

/** The program that makes a call with a service token. */
export class CurrentService extends Context.Service<CurrentService, ServicePrincipal>()(
  "chat/operations/CurrentService"
) {}

/** The scope that the service token must have. It is an annotation of the endpoints and RPCs of operators. */
export class RequiredScope extends Context.Service<RequiredScope, ServiceScope>()("chat/operations/RequiredScope") {}

/**
 * Whether the answers of an operation are written as they are. It is an annotation of the RPCs whose services build answers
 * field by field in the form in which they are sent, where encoding them by their Schema would only copy them.
 */
export const WrittenAsIs = Context.Reference<boolean>("chat/operations/WrittenAsIs", { defaultValue: () => false })

/** Makes a handler that gets the calling program with its service token, for the operations of operators. */
export const asService =
  <Payload, A, E>(handle: (service: ServicePrincipal, payload: Payload) => Effect.Effect<A, E>) =>
  (payload: Payload): Effect.Effect<A, E, CurrentService> =>
    Effect.flatMap(CurrentService, (service) => handle(service, payload))

/** The name of the caller in the audit log. */
export const actorOf = ({ tokenId }: ServicePrincipal) => `token:${tokenId}` as const

/**
 * The header that names the user as whom a program acts, with a service token in `Authorization`: the id of the user, or
 * `ext:` and the external id.
 */
export const actAsHeader = "chat-act-as"

/** The access token as a cookie, for pages of an allowed origin. */
export const accessTokenCookie = HttpApiSecurity.apiKey({ in: "cookie", key: "access_token" })

/**
 * Over HTTP, admits signed-in users only and counts the requests of each session. The token may also come as the cookie
 * `access_token`. The implementation reads the cookie itself, because of two security schemes Effect reports only the
 * refusal of the last one.
 */
export class Authorization extends HttpApiMiddleware.Service<Authorization, { provides: CurrentPrincipal }>()(
  "chat/http/Authorization",
  {
    requiredForClient: true,
    security: {
      bearer: HttpApiSecurity.bearer.pipe(
        HttpApiSecurity.annotate(
          OpenApi.Description,
          "The access token (a JWT) that login and refresh give, or a service token with the scope `act-as` together with the header `Chat-Act-As`, which names the user: the id, or `ext:` and the external id, percent-encoded where a header needs it"
        )
      )
    },
    error: [InvalidRequest, Unauthenticated, Forbidden, RateLimited, Unavailable]
  }
) {}

/** Over HTTP, admits everybody and provides the device that calls. */
export class Public extends HttpApiMiddleware.Service<Public, { provides: CurrentDevice }>()("chat/http/Public") {}

/**
 * Over HTTP, admits programs whose service token has the scope of the endpoint, and counts the requests of each token.
 */
export class ServiceAuthorization extends HttpApiMiddleware.Service<
  ServiceAuthorization,
  { provides: CurrentService }
>()("chat/http/ServiceAuthorization", {
  security: {
    serviceToken: HttpApiSecurity.bearer.pipe(
      HttpApiSecurity.annotate(OpenApi.Description, "A service token: `cst_…`. Access tokens of users are refused")
    )
  },
  error: [Unauthenticated, Forbidden, RateLimited, Unavailable]
}) {}

/**
 * Over HTTP, admits only bodies that are JSON in UTF-8, and that are neither too large nor nested too deeply. Large ones
 * count for the address that sends them.
 */
export class JsonBody extends HttpApiMiddleware.Service<JsonBody>()("chat/http/JsonBody", {
  error: [InvalidRequest, RateLimited, TooLarge, UnsupportedMediaType]
}) {}

/** Over HTTP, answers every failure with a problem (RFC 9457) that carries the request's id. */
export class Problems extends HttpApiMiddleware.Service<Problems>()("chat/http/Problems", {
  error: [InvalidRequest, Internal]
}) {}

/**
 * Over RPC, admits signed-in users only and counts the calls of each session. The token is in the header `authorization`
 * of the request or of the single call, or in the cookie of a page of an allowed origin.
 */
export class SignedIn extends RpcMiddleware.Service<SignedIn, { provides: CurrentPrincipal }>()("chat/rpc/SignedIn", {
  error: Schema.Union([InvalidRequest, Unauthenticated, Forbidden, RateLimited, Internal, Unavailable])
}) {}

/**
 * Over RPC, admits programs whose service token has the scope of the call, and counts the calls of each token. The token
 * is in the header `authorization` of the request or of the single call.
 */
export class WithServiceToken extends RpcMiddleware.Service<WithServiceToken, { provides: CurrentService }>()(
  "chat/rpc/WithServiceToken",
  { error: Schema.Union([InvalidRequest, Unauthenticated, Forbidden, RateLimited, Internal, Unavailable]) }
) {}

/** Over RPC, admits everybody and provides the device that calls. */
export class Anybody extends RpcMiddleware.Service<Anybody, { provides: CurrentDevice }>()("chat/rpc/Anybody", {
  error: Schema.Union([InvalidRequest, Internal])
}) {}
