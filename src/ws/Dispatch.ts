import { Clock, Effect, Predicate, Result, Schema } from "effect"
import { SchemaJITCompiler } from "effect/schema"
import type { RawData } from "ws"
import { invalidData } from "../domain/InvalidData.ts"
import { deeperThan, moreFieldsThan, moreItemsThan, parseJson, withoutByteOrderMark } from "../domain/Json.ts"
import { invalid, type Problem } from "../domain/Problem.ts"
import { CloseCode, Command, CommandId } from "../domain/Protocol.ts"
import { tooManyAtOnce } from "../domain/Refusals.ts"
import { type Principal, programOf } from "../domain/Session.ts"
import { makeActing } from "../operations/AuditHandlers.ts"
import { AddressLimit } from "../services/platform/load/AddressLimit.ts"
import { Shedding } from "../services/platform/load/Shedding.ts"
import { monotonicMillis } from "../services/platform/Monotonic.ts"
import { Settings } from "../services/platform/Settings.ts"
import { markFault, Tracing } from "../services/platform/Tracing.ts"
import { hideCommandDefects } from "./CommandDefects.ts"
import { Commands, type DecodedCommand } from "./Commands.ts"
import { commandSpan } from "./CommandTrace.ts"
import type { Connection } from "./Connection.ts"
import type { Dispatch, Handshake } from "./Handshake.ts"
import type { SocketMetrics } from "./SocketMetrics.ts"

SchemaJITCompiler.enable(Command.ast)
const decodeCommand = Schema.decodeUnknownResult(Command)
const isId = Schema.is(CommandId)

/**
 * Runs a command when there is room for its answer. A large answer waits in its place among the commands in flight,
 * so that asking for it does not make the client a slow consumer.
 */
const runInRoom = (connection: Connection, { kind }: DecodedCommand, answer: Effect.Effect<unknown, Problem>) => {
  if (kind === "send") return answer
  const room = Effect.suspend(() => (connection.hasRoom ? Effect.void : connection.room))
  return room.pipe(
    Effect.andThen(answer),
    Effect.tap(() => room)
  )
}

/** The operations that can end the session of the socket that asks for them. */
const mayEndSession: ReadonlySet<string> = new Set(["auth.logout", "session.end", "user.delete"])

/** Made once, because an error takes longer to make than to send. */
const tooManyBefore = tooManyAtOnce("Too many before hello")

/** What the audit log is told of the data of a command, if it is about programs: nothing that was not decoded. */
const audited = (principal: Principal, { conversationId, data }: DecodedCommand) =>
  programOf(principal) === undefined ? undefined : { ...data, conversationId }

/** Makes the function that takes one command of a connection, runs it in its turn and answers it. */
const makeCommand = Effect.fnUntraced(function* (handshake: Handshake, metrics: SocketMetrics) {
  const { limits } = yield* Settings
  const acting = yield* makeActing
  const commands = yield* Commands
  const tracing = yield* Tracing
  const fork = Effect.runForkWith(yield* Effect.context<never>())

  const run = (connection: Connection, principal: Principal, { data, op }: Command) => {
    if (op === "auth.token") return handshake.renew(connection, data)
    if (op === "hello") return Effect.fail(invalid("op", "must not be hello: this socket has said it"))
    return Effect.flatMap(commands.decode(op, data), (operation) =>
      Effect.callback<unknown, Problem>((resume) =>
        connection.inTurn(operation.conversationId, operation.kind, (done) =>
          resume(
            Effect.ensuring(
              runInRoom(
                connection,
                operation,
                acting(
                  principal,
                  op,
                  audited(principal, operation),
                  operation.run({ ...principal, connectionId: connection.id })
                )
              ),
              Effect.sync(done)
            )
          )
        )
      )
    )
  }

  /** Refuses a command beyond the limits, and says whether it was one. */
  const isLimited = (connection: Connection, { id }: Command): boolean => {
    const limited = connection.overLimit()
    if (limited === undefined) return false
    metrics.limited("commands")
    connection.refuse(id, limited)
    return true
  }

  /** Takes a command of a connection that is not open yet. */
  const beforeOpen = (connection: Connection, command: Command) => {
    const { state } = connection
    if (state === "opening") return handshake.hello(connection, command, dispatch)
    // One more hello, after one that could not be answered, counts as a command.
    if (state === "refused" && command.op === "hello")
      return isLimited(connection, command) ? undefined : handshake.hello(connection, command, dispatch)
    // A client need not wait for the answer to its hello, whatever that is.
    connection.early ??= []
    if (connection.early.length >= limits.commandsInFlight) {
      return connection.refuse(command.id, connection.overLimit() ?? tooManyBefore)
    }
    connection.early.push(command)
  }

  const dispatch: Dispatch = (connection, command) => {
    if (connection.isClosing) return
    const { principal } = connection
    if (principal === undefined || connection.state !== "open") return beforeOpen(connection, command)
    if (isLimited(connection, command)) return
    const { id, op, traceparent } = command
    const name = op === "auth.token" || commands.knows(op) ? op : "unknown"
    // A success takes one step; the steps that only a failure needs are built when there is one.
    const answered = Effect.matchCauseEffect(metrics.timed(name, run(connection, principal, command)), {
      onFailure: (cause) =>
        hideCommandDefects(connection, name, Effect.failCause(cause)).pipe(
          Effect.tapError(markFault),
          Effect.catch((error) => Effect.sync(() => connection.refuse(id, error)))
        ),
      onSuccess: (ok) => Effect.sync(() => connection.answer(id, ok))
    })
    const whole = mayEndSession.has(op) ? Effect.ensuring(answered, Effect.sync(connection.beginEnding())) : answered
    fork(tracing.incoming(whole, traceparent, () => commandSpan(name, connection)))
  }
  return dispatch
})

/** A command that cannot be understood, and the id under which its problem is answered. */
interface Misunderstood {
  readonly id: CommandId | null
  readonly problem: Problem
}

const inexactId = invalid("id", "must be an integer of at most 2^53 - 1 or a text of at most 64 characters")

/** Says why a value is not a command. Undefined when it has nothing like an id, and so is not even meant as one. */
const misunderstood = (value: unknown, error: Schema.SchemaError): Misunderstood | undefined => {
  if (!Predicate.hasProperty(value, "id")) return undefined
  if (isId(value.id)) return { id: value.id, problem: invalidData(error) }
  return typeof value.id === "number" || typeof value.id === "string" ? { id: null, problem: inexactId } : undefined
}

/** Reads the commands of a frame. Undefined when the frame is not made of commands. */
const readFrame = (text: string): ReadonlyArray<Command | Misunderstood> | undefined => {
  const json = parseJson(text)
  const commands: Array<Command | Misunderstood> = []
  for (const each of Array.isArray(json) ? json : [json]) {
    const command = decodeCommand(each)
    const read = Result.isSuccess(command) ? command.success : misunderstood(each, command.failure)
    if (read === undefined) return undefined
    commands.push(read)
  }
  return commands.length === 0 ? undefined : commands
}

/**
 * Makes the function that takes each frame of a client: it checks form, size and depth, and runs the commands in the
 * frame. A command that cannot be understood is answered with its problem, once the socket is open. A frame that breaks the
 * protocol closes the socket, as does a large one while its address has not paid for earlier ones. The first hello waits for that.
 */
export const makeReceive = Effect.fnUntraced(function* (handshake: Handshake, metrics: SocketMetrics) {
  const { limits } = yield* Settings
  const clock = yield* Clock.Clock
  const { noteWork } = yield* Shedding
  const addresses = yield* AddressLimit
  const dispatch = yield* makeCommand(handshake, metrics)
  // Of so many, the socket would be closed for those that are refused.
  const mostCommands = 2 * limits.commandsBurst + 1

  return (connection: Connection, data: RawData, isBinary: boolean) => {
    if (connection.isClosing) return
    noteWork()
    connection.heard(monotonicMillis(clock))
    const opening = connection.principal === undefined
    const text = withoutByteOrderMark(data.toString())
    if (isBinary) return connection.close(CloseCode.badFrame, "frames must be text")
    const bytes = Buffer.byteLength(text)
    const mayBeHello = opening && connection.state !== "greeting"
    const isFirst = opening && connection.state === "opening"
    if (mayBeHello) connection.helloBytes = isFirst ? bytes : 0
    if (bytes > (mayBeHello ? limits.helloBytes : limits.frameBytes))
      return connection.close(CloseCode.frameTooLarge, "frame too large")
    if (moreItemsThan(text, mostCommands) || (!isFirst && addresses.read(connection.address, bytes) > 0)) {
      metrics.limited("commands")
      return connection.close(CloseCode.rateLimited, "rate limited")
    }
    if (deeperThan(text, limits.jsonDepth)) return connection.close(CloseCode.badFrame, "nested too deep")
    if (moreFieldsThan(text, limits.jsonKeys)) return connection.close(CloseCode.badFrame, "too many fields")
    const commands = readFrame(text)
    if (commands === undefined || (opening && commands.some((command) => "problem" in command)))
      return connection.close(CloseCode.badFrame, "not a command")
    if (!mayBeHello) connection.weigh(bytes, commands.length)
    for (const each of commands) {
      if ("problem" in each) connection.refuse(each.id, connection.overLimit() ?? each.problem)
      else dispatch(connection, each)
    }
  }
})
