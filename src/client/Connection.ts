import { Cause, Deferred, Effect, Queue, Schema, type Scope, Semaphore } from "effect"
import type { Problem } from "../domain/Problem.ts"
import { subprotocol } from "../domain/Protocol.ts"
import { ConnectionLost } from "./Failures.ts"
import { type Answer, type FrameItem, readFrames, readProblem } from "./Frames.ts"

/** The part of a WebSocket that this client uses: those of browsers, of Node and of the package `ws` all fit. */
export interface SocketLike {
  /** Sends a text frame. */
  send(text: string): void
  /** Starts the closing handshake. Repeating it does nothing. */
  close(code?: number, reason?: string): void
  /** Calls `listener` for each event of that type. */
  addEventListener(type: "open" | "error", listener: () => void): void
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void
  addEventListener(type: "close", listener: (event: { readonly code: number }) => void): void
}

/** Opens a WebSocket. */
export type OpenSocket = (url: string, protocols: ReadonlyArray<string>) => SocketLike

/** Opens the WebSocket that browsers and Node have as a global. */
export const globalWebSocket: OpenSocket = (url, protocols) => new WebSocket(url, [...protocols])

/** How a connection ended. `atOnce` means that the next one need not wait. */
export interface Closed {
  readonly code: number
  readonly atOnce?: boolean
}

/** A frame that answers no command. */
export type Unasked = Exclude<FrameItem, { readonly _tag: "Answer" }>

/** One WebSocket, from its opening to its end. */
export interface Connection {
  /** All frames except answers, which go to the commands that wait for them. The queue ends with `Closed`. */
  readonly frames: Queue.Dequeue<Unasked, Closed>
  /**
   * Sends a command and waits for its answer. It is never sent again: after `ConnectionLost` the service may have
   * carried it out.
   */
  readonly command: (op: string, data: unknown) => Effect.Effect<unknown, Problem | ConnectionLost>
  /** Ends the connection from this side. Only the first end counts. */
  readonly cut: (closed: Closed) => Effect.Effect<void>
}

const encode = Schema.encodeSync(Schema.fromJsonString(Schema.Unknown))

/** An answer that takes longer than this counts as lost. */
const answerTimeout = "15 seconds"

/**
 * How many commands are in flight at a time; further ones wait here. It is below the default limit of the service (8),
 * which would refuse them.
 */
const commandsInFlight = 6

/** The close code of a normal end (RFC 6455 §7.4.1). */
const normalCode = 1000

/** The close code of a connection that was lost without a close frame (RFC 6455 §7.4.1). */
export const lostCode = 1006

/** Connects to a `ws:` or `wss:` URL. The connection closes with the scope. */
export const connect = (open: OpenSocket, url: string): Effect.Effect<Connection, Closed, Scope.Scope> =>
  Effect.gen(function* () {
    const frames = yield* Queue.unbounded<Unasked, Closed>()
    const opened = yield* Deferred.make<void, Closed>()
    const waiting = new Map<number, Deferred.Deferred<unknown, Problem | ConnectionLost>>()
    const inFlight = yield* Semaphore.make(commandsInFlight)
    let lastId = 0
    let ended = false

    const end = (closed: Closed) => {
      ended = true
      Deferred.doneUnsafe(opened, Effect.fail(closed))
      Queue.failCauseUnsafe(frames, Cause.fail(closed))
      for (const answer of waiting.values()) Deferred.doneUnsafe(answer, Effect.fail(new ConnectionLost({})))
      waiting.clear()
    }

    const settle = ({ error, id, ok }: Answer) => {
      const answer = waiting.get(id)
      if (answer === undefined) return
      waiting.delete(id)
      Deferred.doneUnsafe(answer, error === undefined ? Effect.succeed(ok) : Effect.fail(readProblem(error)))
    }

    const socket = yield* Effect.acquireRelease(
      Effect.try({ try: () => open(url, [subprotocol]), catch: (cause) => cause }).pipe(
        Effect.tapError((cause) => Effect.logWarning("could not open a WebSocket", cause)),
        Effect.mapError(() => ({ code: lostCode }))
      ),
      (it) =>
        Effect.sync(() => {
          end({ code: normalCode })
          it.close(normalCode)
        })
    )
    socket.addEventListener("open", () => Deferred.doneUnsafe(opened, Effect.void))
    socket.addEventListener("message", ({ data }) => {
      for (const frame of readFrames(data)) {
        if (frame._tag === "Answer") settle(frame.answer)
        else Queue.offerUnsafe(frames, frame)
      }
    })
    // The "close" that follows carries the code.
    socket.addEventListener("error", () => {})
    socket.addEventListener("close", ({ code }) => end({ code }))

    yield* Deferred.await(opened).pipe(
      Effect.timeoutOrElse({ duration: answerTimeout, orElse: () => Effect.fail({ code: lostCode }) })
    )

    const command: Connection["command"] = (op, data) =>
      Effect.gen(function* () {
        if (ended) return yield* new ConnectionLost({})
        const id = ++lastId
        const answer = yield* Deferred.make<unknown, Problem | ConnectionLost>()
        waiting.set(id, answer)
        yield* Effect.try({
          try: () => socket.send(encode({ id, op, data })),
          catch: (cause) => new ConnectionLost({ cause })
        })
        return yield* Deferred.await(answer).pipe(
          Effect.timeoutOrElse({ duration: answerTimeout, orElse: () => Effect.fail(new ConnectionLost({})) }),
          Effect.ensuring(Effect.sync(() => waiting.delete(id)))
        )
      }).pipe(inFlight.withPermit)

    return { frames, command, cut: (closed) => Effect.sync(() => end(closed)) }
  })
