import { Context, Effect, Layer, Predicate, Result, Schema } from "effect"
import type { RpcGroup } from "effect/rpc"
import { SchemaJITCompiler } from "effect/schema"
import { ConversationId } from "../domain/Ids.ts"
import { decodeInput, invalidData } from "../domain/InvalidData.ts"
import { NewMessage } from "../domain/Message.ts"
import { type InvalidRequest, invalid, type Problem, type Unavailable } from "../domain/Problem.ts"
import { type SocketCommands, socketCommands } from "../domain/Protocol.ts"
import { type Principal, programOf } from "../domain/Session.ts"
import { CurrentPrincipal, WrittenAsIs } from "../operations/Callers.ts"
import { callOf } from "../operations/Calls.ts"
import { isVoid } from "../operations/Operation.ts"
import { Operations } from "../operations/Operations.ts"
import { Messages } from "../services/messages/Messages.ts"
import { Shedding } from "../services/platform/load/Shedding.ts"
import { Presence } from "../services/presence/Presence.ts"
import type { CommandKind } from "./CommandLanes.ts"

/** The user who sends a command, and the socket that carries it. */
interface Caller extends Principal {
  readonly connectionId: string
}

/** A decoded command. `conversationId` and `kind` say with which other commands it keeps its order. */
export interface DecodedCommand {
  readonly conversationId: ConversationId | undefined
  readonly kind: CommandKind
  /** The data, without a field that the operation does not have. */
  readonly data: object | undefined
  /** Runs the command and returns the data of its answer, encoded. It dies with what is a fault of ours. */
  readonly run: (caller: Caller) => Effect.Effect<unknown, Problem>
}

type Decode = (data: unknown) => Result.Result<DecodedCommand, Schema.SchemaError>

/** A command that only sockets have, or that they answer in their own way. It concerns no single conversation. */
const ofSocket = <Op extends keyof SocketCommands>(
  op: Op,
  run: (
    caller: Caller,
    data: SocketCommands[Op]["data"]["Type"]
  ) => Effect.Effect<SocketCommands[Op]["ok"]["Type"], Problem>
): readonly [Op, Decode] => {
  const decode = decodeInput(socketCommands[op].data)
  return [
    op,
    (data) =>
      Result.map(decode(data), (decoded) => ({
        conversationId: undefined,
        kind: "other",
        data: decoded,
        run: (caller) => run(caller, decoded)
      }))
  ]
}

const Addressed = Schema.Struct({ conversationId: ConversationId })
SchemaJITCompiler.enable(Addressed.ast)
const decodeConversation = Schema.decodeUnknownResult(Addressed)
const decodeAny = decodeInput(NewMessage)

/** What nearly every message consists of. Ids are transformed, so the schema of all fields cannot be compiled. */
const PlainMessage = Schema.Struct({ clientMessageId: NewMessage.fields.clientMessageId, body: NewMessage.fields.body })
SchemaJITCompiler.enable(PlainMessage.ast)
const decodePlain = Schema.decodeUnknownResult(PlainMessage)

/** Whether a message may have nothing but the fields of `PlainMessage` and `conversationId`. */
const isPlain = (data: unknown) =>
  Predicate.isObject(data) && Object.keys(data).length === 3 && "conversationId" in data

/** Decodes a message: a plain one by compiled code, and each other one, also to say what is wrong with it, by its schema. */
export const decodeMessage = (data: unknown): Result.Result<NewMessage, Schema.SchemaError> => {
  const plain = isPlain(data) ? decodePlain(data) : undefined
  return plain !== undefined && Result.isSuccess(plain) ? plain : decodeAny(data)
}

/**
 * Sends a message. This is the hot path: it calls the service directly, and answers only an `Ack`, because the message
 * itself arrives as an event. `accepted` fails while sends are shed.
 */
const send =
  (messages: Messages["Service"], accepted: Effect.Effect<void, Unavailable>): Decode =>
  (data) => {
    const id = decodeConversation(data)
    if (Result.isFailure(id)) return Result.fail(id.failure)
    const message = decodeMessage(data)
    if (Result.isFailure(message)) return Result.fail(message.failure)
    const { conversationId } = id.success
    return Result.succeed({
      conversationId,
      // Attachments are looked up before the append, so that a later send would overtake.
      kind: message.success.attachments?.length ? "other" : "send",
      data: message.success,
      run: (me) =>
        Effect.andThen(accepted, messages.send(me.userId, conversationId, message.success, programOf(me) !== undefined))
    })
  }

/** The command of an operation: its data are the payload, and its answer is encoded as over HTTP. */
const declared = Effect.fnUntraced(function* (rpc: RpcGroup.Rpcs<typeof Operations>) {
  const call = yield* callOf(rpc)
  const decode = decodeInput(rpc.payloadSchema)
  const encode = Context.get(rpc.annotations, WrittenAsIs)
    ? Effect.succeed
    : Schema.encodeUnknownEffect(Schema.toCodecJson(rpc.successSchema))
  const command: Decode = (data) =>
    Result.map(isVoid(rpc.payloadSchema) ? Result.succeed(undefined) : decode(data), (payload) => ({
      conversationId: payload !== undefined && "conversationId" in payload ? payload.conversationId : undefined,
      kind: "other",
      data: payload ?? undefined,
      run: (caller) =>
        call(payload).pipe(
          Effect.flatMap((answer) => (isVoid(rpc.successSchema) ? Effect.succeed({}) : Effect.orDie(encode(answer)))),
          Effect.provideService(CurrentPrincipal, caller)
        )
    }))
  return command
})

/** The commands of a socket by name: the operations, and the commands that only sockets have. */
export class Commands extends Context.Service<
  Commands,
  {
    /** Decodes the `data` of a command. Fails with what is wrong with them, or when there is no such command. */
    readonly decode: (op: string, data: unknown) => Effect.Effect<DecodedCommand, InvalidRequest>
    /** Whether this is the name of a command. Only such names become labels of metrics and spans. */
    readonly knows: (op: string) => boolean
  }
>()("chat/ws/Commands") {
  static readonly layer = Layer.effect(
    Commands,
    Effect.gen(function* () {
      const messages = yield* Messages
      const presence = yield* Presence
      const shedding = yield* Shedding
      const operations = new Map<string, Decode>()
      for (const rpc of Operations.requests.values()) operations.set(rpc._tag, yield* declared(rpc))
      for (const [op, decode] of [
        ["message.send", send(messages, shedding.check("sends"))] as const,
        ofSocket("ping", () => Effect.succeed({})),
        ofSocket("presence.set", ({ connectionId, userId }, { status }) =>
          Effect.as(presence.set(userId, status, connectionId), {})
        ),
        ofSocket("presence.subscribe", ({ connectionId }, { userIds }) =>
          Effect.map(presence.subscribe(connectionId, userIds), (items) => ({ items }))
        ),
        ofSocket("presence.unsubscribe", ({ connectionId }, { userIds }) =>
          Effect.as(presence.unsubscribe(connectionId, userIds), {})
        )
      ])
        operations.set(op, decode)

      return Commands.of({
        decode: (op, data) => {
          const decode = operations.get(op)
          if (decode === undefined) return Effect.fail(invalid("op", "must be the name of an operation"))
          const decoded = decode(data ?? {})
          return Result.isFailure(decoded) ? Effect.fail(invalidData(decoded.failure)) : Effect.succeed(decoded.success)
        },
        knows: (op) => operations.has(op)
      })
    })
  )
}
