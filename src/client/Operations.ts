import { Effect, Schema } from "effect"
import type { Rpc, RpcGroup } from "effect/rpc"
import type { Problem } from "../domain/Problem.ts"
import { isVoid } from "../operations/Operation.ts"
import { Operations } from "../operations/Operations.ts"
import type { ConnectionLost, Refused } from "./Failures.ts"

type Declared = RpcGroup.Rpcs<typeof Operations>

/** The operations that can be asked for over the socket, except for sending, which goes through the outbox. */
export type OperationName = Exclude<Declared["_tag"], "message.send">
/** The payload as JSON: ids are plain strings. */
export type PayloadOf<Name extends OperationName> = Rpc.ExtractTag<Declared, Name>["payloadSchema"]["Encoded"]
/** The decoded answer of an operation. */
export type AnswerOf<Name extends OperationName> = Rpc.Success<Rpc.ExtractTag<Declared, Name>>

/** Why an operation failed: the problem that the service answered with, or that there was no answer. */
export type CommandError = Problem | ConnectionLost | Refused

/** Asks for an operation by its name. */
export type Ask<E> = <Name extends OperationName>(op: Name, data: PayloadOf<Name>) => Effect.Effect<AnswerOf<Name>, E>

/** Makes `ask`, which decodes the answers to commands by the Schemas of the declared operations. */
export const makeAsk = <E>(command: (op: string, data: unknown) => Effect.Effect<unknown, E>): Ask<E> => {
  function ask<Name extends OperationName>(op: Name, data: PayloadOf<Name>): Effect.Effect<AnswerOf<Name>, E>
  function ask(op: string, data: unknown): Effect.Effect<unknown, E> {
    const success = Operations.requests.get(op)?.successSchema
    return Effect.flatMap(command(op, data), (answer) =>
      success === undefined || isVoid(success)
        ? Effect.void
        : Effect.orDie(Schema.decodeUnknownEffect(Schema.toCodecJson(success))(answer))
    )
  }
  return ask
}
