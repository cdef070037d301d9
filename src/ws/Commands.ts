import { Context, Effect, Layer, Result, Schema } from "effect"
import { Headers } from "effect/http"
import { Rpc, type RpcGroup, RpcMessage } from "effect/rpc"
import { ConversationId } from "../domain/Ids.ts"
import { NewMessage } from "../domain/Message.ts"
import { type InvalidRequest, invalid, invalidData, type Problem } from "../domain/Problem.ts"
import type { Principal } from "../domain/Session.ts"
import { Operations } from "../rpc/Operations.ts"
import { CurrentPrincipal } from "../services/CurrentPrincipal.ts"
import { Messages } from "../services/Messages.ts"
import { Presence } from "../services/Presence.ts"
import { type SocketCommands, socketCommands } from "./SocketCommands.ts"

/** Who asks, and over which socket. */
export interface Caller extends Principal {
  readonly connectionId: string
}

/** What a command asks for, decoded; `conversationId` and `kind` say among which others it keeps its order. */
export interface Operation {
  readonly conversationId: ConversationId | undefined
  readonly kind: "send" | "other"
  readonly run: (caller: Caller) => Effect.Effect<unknown, Problem>
}

type Decode = (data: unknown) => Result.Result<Operation, Schema.SchemaError>

/** An operation of the socket itself, on no single conversation. */
const ofSocket = <Op extends keyof SocketCommands>(
  op: Op,
  run: (
    caller: Caller,
    data: SocketCommands[Op]["data"]["Type"]
  ) => Effect.Effect<SocketCommands[Op]["ok"]["Type"], Problem>
): readonly [Op, Decode] => {
  const decode = Schema.decodeUnknownResult(socketCommands[op].data)
  return [
    op,
    (data) =>
      Result.map(decode(data), (decoded) => ({
        conversationId: undefined,
        kind: "other",
        run: (caller) => run(caller, decoded)
      }))
  ]
}

const decodeConversation = Schema.decodeUnknownResult(Schema.Struct({ conversationId: ConversationId }))
const decodeMessage = Schema.decodeUnknownResult(NewMessage)

/** Answers with less than the RPC does, and straight from the service: this is what sockets are for. */
const send =
  (messages: Messages["Service"]): Decode =>
  (data) => {
    const id = decodeConversation(data)
    if (Result.isFailure(id)) return Result.fail(id.failure)
    const message = decodeMessage(data)
    if (Result.isFailure(message)) return Result.fail(message.failure)
    const { conversationId } = id.success
    return Result.succeed({
      conversationId,
      kind: "send",
      run: ({ userId }) => messages.send(userId, conversationId, message.success)
    })
  }

type Declared = RpcGroup.Rpcs<typeof Operations>

const isVoid = (schema: Schema.Top) => schema.ast._tag === "Void"

/** An operation that is declared for RPC: its payload is the data, and its answer is encoded as HTTP has it. */
const declared = Effect.fnUntraced(function* (rpc: Declared) {
  const { context, handler } = yield* Context.Service<Rpc.ToHandler<Declared>, Rpc.Handler<string>>(rpc.key)
  const decode = Schema.decodeUnknownResult(rpc.payloadSchema)
  const encode = Schema.encodeUnknownEffect(Schema.toCodecJson(rpc.successSchema))
  const call = (payload: Rpc.Payload<Declared>): Effect.Effect<unknown, Problem, CurrentPrincipal> => {
    const client = new Rpc.ServerClient(0)
    const answer = handler(payload, { client, rpc, requestId: RpcMessage.RequestId(0), headers: Headers.empty })
    if (!Effect.isEffect(answer)) return Effect.die(new Error(`${rpc._tag} is a stream`))
    return Effect.updateContext(answer, (own: Context.Context<CurrentPrincipal>) => Context.merge(context, own))
  }
  const command: Decode = (data) =>
    Result.map(isVoid(rpc.payloadSchema) ? Result.succeed(undefined) : decode(data), (payload) => ({
      conversationId: payload !== undefined && "conversationId" in payload ? payload.conversationId : undefined,
      kind: "other",
      run: (caller) =>
        call(payload).pipe(
          Effect.flatMap((answer) => (isVoid(rpc.successSchema) ? Effect.succeed({}) : Effect.orDie(encode(answer)))),
          Effect.provideService(CurrentPrincipal, caller)
        )
    }))
  return command
})

/** The operations that a socket can ask for, by name: the data are the HTTP bodies plus the ids of the path. */
export class Commands extends Context.Service<
  Commands,
  {
    readonly decode: (op: string, data: unknown) => Effect.Effect<Operation, InvalidRequest>
    /** Whether it is the name of an operation, and so one of a few. */
    readonly knows: (op: string) => boolean
  }
>()("chat/ws/Commands") {
  static readonly layer = Layer.effect(
    Commands,
    Effect.gen(function* () {
      const messages = yield* Messages
      const presence = yield* Presence
      const operations = new Map<string, Decode>()
      for (const rpc of Operations.requests.values()) operations.set(rpc._tag, yield* declared(rpc))
      for (const [op, decode] of [
        ["message.send", send(messages)] as const,
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
