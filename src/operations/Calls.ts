import { Context, Effect } from "effect"
import { Headers } from "effect/http"
import { Rpc, type RpcGroup, RpcMessage } from "effect/rpc"
import type { Problem } from "../domain/Problem.ts"
import type { CurrentDevice, CurrentPrincipal, CurrentService } from "./Callers.ts"
import { AllOperations } from "./Operations.ts"

/** The operations with one answer. The others answer with a stream. */
export const calls = AllOperations.omit("events.stream", "admin.exportAccount")

/** An operation with one answer. */
type Call = RpcGroup.Rpcs<typeof calls>

/** The handlers of all operations with one answer. */
export type CallHandlers = Rpc.ToHandler<Call>

/** The names of the operations with one answer. */
type CallName = Call["_tag"]

/**
 * What a call must know about its caller: the user for most operations, the device for those that need no session, the
 * program for those of operators.
 */
export type Caller = CurrentPrincipal | CurrentDevice | CurrentService

type CallerOf<R extends Call> = Rpc.ExtractProvides<R, R["_tag"]>

/**
 * Finds the handler of an operation, for transports other than RPC, which has its own server. The returned function
 * takes a decoded payload and answers what the handler answers. The call runs with the services of the caller alone:
 * handlers have taken theirs before, and merging the two would copy every service of the program for each call.
 */
export const callOf = Effect.fnUntraced(function* <R extends Call>(rpc: R) {
  const { handler } = yield* Context.Service<CallHandlers, Rpc.Handler<string>>(rpc.key)
  return (payload: unknown): Effect.Effect<unknown, Problem, CallerOf<R>> => {
    const client = new Rpc.ServerClient(0)
    const answer = handler(payload, { client, rpc, requestId: RpcMessage.RequestId(0), headers: Headers.empty })
    return Effect.isEffect(answer) ? answer : Effect.die(new Error(`${rpc._tag} is a stream`))
  }
})

type Named<Name extends CallName> = Rpc.ExtractTag<Call, Name>
type Answer<Name extends CallName> = Effect.Effect<Rpc.Success<Named<Name>>, Named<Name>["errorSchema"]["Type"], Caller>

/** Calls an operation by its name, with a decoded payload. */
type CallByName = <Name extends CallName>(name: Name, payload: Rpc.Payload<Named<Name>>) => Answer<Name>

/** Finds the handlers of all operations with one answer. */
export const makeCallByName: Effect.Effect<CallByName, never, CallHandlers> = Effect.gen(function* () {
  const byName = new Map<string, (payload: unknown) => Effect.Effect<unknown, Problem, Caller>>()
  for (const rpc of calls.requests.values()) byName.set(rpc._tag, yield* callOf(rpc))
  function call<Name extends CallName>(name: Name, payload: Rpc.Payload<Named<Name>>): Answer<Name>
  function call(name: string, payload: unknown): Effect.Effect<unknown, Problem, Caller> {
    return byName.get(name)?.(payload) ?? Effect.die(new Error(`${name} has no handler`))
  }
  return call
})
