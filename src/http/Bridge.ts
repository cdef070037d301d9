import { Context, Effect, Layer } from "effect"
import { HttpServerResponse } from "effect/http"
import { type HttpApi, HttpApiBuilder, type HttpApiGroup } from "effect/http-api"
import { Api } from "../operations/Api.ts"
import { makeActing } from "../operations/AuditHandlers.ts"
import {
  type Authorization,
  CurrentPrincipal,
  type JsonBody,
  type Problems,
  type Public,
  type ServiceAuthorization,
  WrittenAsIs
} from "../operations/Callers.ts"
import { type CallHandlers, callOf, calls } from "../operations/Calls.ts"
import { isVoid } from "../operations/Operation.ts"
import type { EventStreams } from "../realtime/EventStreams.ts"
import type { AccountExport } from "../services/admin/AccountExport.ts"
import type { Audit } from "../services/admin/Audit.ts"
import type { Settings } from "../services/platform/Settings.ts"
import { type Exceptions, type Handler, makeExceptions } from "./Exceptions.ts"

/** The parts of a request as one payload: what RPC and sockets send. */
const payloadOf = ({ headers, params, payload, query }: Parameters<Handler>[0]) => {
  const key = Object(headers)["idempotency-key"]
  return { ...Object(params), ...Object(query), ...Object(payload), ...(key !== undefined && { idempotencyKey: key }) }
}

/** The exceptions without the types of their requests, as the loop below serves them. */
function untypedHandlers(exceptions: Exceptions): ReadonlyArray<readonly [string, Handler]>
function untypedHandlers(exceptions: object): ReadonlyArray<readonly [string, unknown]> {
  return Object.entries(exceptions)
}

/** How HTTP serves each operation: with its one handler, or as an exception says. */
const makeHandlers = Effect.gen(function* () {
  const handlers = new Map<string, Handler>()
  for (const rpc of calls.requests.values()) {
    const call = yield* callOf(rpc)
    const answersNothing = isVoid(rpc.successSchema)
    const asIs = Context.get(rpc.annotations, WrittenAsIs)
    handlers.set(rpc._tag, (request) => {
      const answer = call(payloadOf(request))
      if (asIs) return Effect.map(answer, (body) => HttpServerResponse.jsonUnsafe(body))
      return answersNothing ? Effect.asVoid(answer) : answer
    })
  }
  for (const [name, handler] of untypedHandlers(yield* makeExceptions)) handlers.set(name, handler)
  const acting = yield* makeActing
  for (const [name, handler] of handlers)
    handlers.set(name, (request) =>
      Effect.withFiber((fiber) => {
        const principal = Context.getOption(fiber.context, CurrentPrincipal)
        return principal._tag === "None"
          ? handler(request)
          : acting(principal.value, name, payloadOf(request), handler(request))
      })
    )
  return handlers
})

const handlerOf = (handlers: ReadonlyMap<string, Handler>, name: string): Handler => {
  const handler = handlers.get(name)
  if (handler === undefined) throw new Error(`the operation ${name} has no handler`)
  return handler
}

/**
 * The contract without the types of its endpoints. Effect checks the handlers of a group one by one; here they are
 * registered in a loop, and what they take and answer follows from the same declaration as the endpoint.
 */
function untyped(api: typeof Api): HttpApi.HttpApi<"chat", HttpApiGroup.Top>
function untyped(api: HttpApi.Constraint): HttpApi.Constraint {
  return api
}

/** Serves the endpoints of all operations. An operation without a handler fails the start with a defect. */
export const layer: Layer.Layer<
  HttpApiGroup.Service<"chat", Exclude<keyof typeof Api.groups, "system">>,
  never,
  | CallHandlers
  | EventStreams
  | AccountExport
  | Audit
  | Settings
  | Authorization
  | JsonBody
  | Problems
  | Public
  | ServiceAuthorization
> = Layer.unwrap(
  Effect.map(makeHandlers, (all) => {
    const api = untyped(Api)
    const groups = Object.values(api.groups).filter(({ topLevel }) => !topLevel)
    const layers = groups.map((group) =>
      HttpApiBuilder.group(api, group.identifier, (handlers) =>
        handlers.handleAll(
          Object.fromEntries(
            Object.keys(group.endpoints).map((endpoint) => [
              endpoint,
              handlerOf(all, `${group.identifier}.${endpoint}`)
            ])
          )
        )
      )
    )
    return Layer.mergeAll(Layer.empty, ...layers)
  })
)
