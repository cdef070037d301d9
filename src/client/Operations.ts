import { Effect, Schema } from "effect"
import type { Rpc, RpcGroup } from "effect/rpc"
import type { Problem } from "../domain/Problem.ts"
import { Operations } from "../rpc/Operations.ts"
import type { ConnectionLost, Refused } from "./Failures.ts"

type Declared = RpcGroup.Rpcs<typeof Operations>

/** What can be asked for over the socket; a message is sent through the outbox. */
export type OperationName = Exclude<Declared["_tag"], "message.send">
/** As JSON has it: ids are plain strings. */
export type PayloadOf<Name extends OperationName> = Rpc.ExtractTag<Declared, Name>["payloadSchema"]["Encoded"]
export type AnswerOf<Name extends OperationName> = Rpc.Success<Rpc.ExtractTag<Declared, Name>>

export type CommandError = Problem | ConnectionLost | Refused

/** Asks for an operation by its name. */
export type Ask<E> = <Name extends OperationName>(op: Name, data: PayloadOf<Name>) => Effect.Effect<AnswerOf<Name>, E>

/** Reads the answers to commands by the Schemas that the operations are declared with. */
export const makeAsk = <E>(command: (op: string, data: unknown) => Effect.Effect<unknown, E>): Ask<E> => {
  function ask<Name extends OperationName>(op: Name, data: PayloadOf<Name>): Effect.Effect<AnswerOf<Name>, E>
  function ask(op: string, data: unknown): Effect.Effect<unknown, E> {
    const success = Operations.requests.get(op)?.successSchema
    return Effect.flatMap(command(op, data), (answer) =>
      success === undefined || success.ast._tag === "Void"
        ? Effect.void
        : Effect.orDie(Schema.decodeUnknownEffect(Schema.toCodecJson(success))(answer))
    )
  }
  return ask
}
