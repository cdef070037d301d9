import { Cause, Deferred, Effect, Queue, Schema, type Scope, Semaphore } from "effect"
import type { Problem } from "../domain/Problem.ts"
import { ConnectionLost } from "./Failures.ts"
import { type Frame, readFrame, readProblem } from "./Frames.ts"

/** What this client uses of a WebSocket: that of browsers and of Node fits, and so does the one of `ws`. */
export interface SocketLike {
  send(text: string): void
  close(code?: number, reason?: string): void
  addEventListener(type: "open" | "error", listener: () => void): void
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void
  addEventListener(type: "close", listener: (event: { readonly code: number }) => void): void
}

/** Opens a WebSocket. */
export type OpenSocket = (url: string, protocols: ReadonlyArray<string>) => SocketLike

export const globalWebSocket: OpenSocket = (url, protocols) => new WebSocket(url, [...protocols])

/** How a connection ended. 1006 is no close frame at all; `atOnce`: there is no reason to wait before the next. */
export interface Closed {
  readonly code: number
  readonly atOnce?: boolean
}

/** A frame that answers no command. */
export type Unasked = Exclude<Frame, { readonly _tag: "Answer" }>

/** One WebSocket, from its opening to its end. */
export interface Connection {
  /** What comes, but for answers, which go to those who asked. Ends with `closed`. */
  readonly frames: Queue.Dequeue<Unasked, Closed>
  /** Asks, and waits for the answer. */
  readonly command: (op: string, data: unknown) => Effect.Effect<unknown, Problem | ConnectionLost>
  /** Ends it from this side. */
  readonly cut: (closed: Closed) => Effect.Effect<void>
}

const encode = Schema.encodeSync(Schema.fromJsonString(Schema.Unknown))

/** How long an answer may take: then it counts as lost. */
const patience = "15 seconds"

/** Connects to `url`, a `ws:` or `wss:` one. Closed with the scope. */
export const connect = (open: OpenSocket, url: string): Effect.Effect<Connection, Closed, Scope.Scope> =>
  Effect.gen(function* () {
    const frames = yield* Queue.unbounded<Unasked, Closed>()
    const opened = yield* Deferred.make<void, Closed>()
    const waiting = new Map<number, Deferred.Deferred<unknown, Problem | ConnectionLost>>()
    // As many as every service takes at a time; more wait here instead of being refused there.
    const inFlight = yield* Semaphore.make(6)
    let lastId = 0
    let ended = false

    const end = (closed: Closed) => {
      ended = true
      Deferred.doneUnsafe(opened, Effect.fail(closed))
      Queue.failCauseUnsafe(frames, Cause.fail(closed))
      for (const answer of waiting.values()) Deferred.doneUnsafe(answer, Effect.fail(new ConnectionLost({})))
      waiting.clear()
    }

    const socket = yield* Effect.acquireRelease(
      Effect.sync(() => open(url, ["chat.v1.json"])),
      (it) =>
        Effect.sync(() => {
          end({ code: 1000 })
          it.close(1000)
        })
    )
    socket.addEventListener("open", () => Deferred.doneUnsafe(opened, Effect.void))
    socket.addEventListener("message", ({ data }) => {
      const frame = readFrame(data)
      if (frame._tag !== "Answer") return void Queue.offerUnsafe(frames, frame)
      const { error, id, ok } = frame.answer
      const answer = waiting.get(id)
      if (answer === undefined) return
      waiting.delete(id)
      Deferred.doneUnsafe(answer, error === undefined ? Effect.succeed(ok) : Effect.fail(readProblem(error)))
    })
    // The close that follows says all there is to say.
    socket.addEventListener("error", () => {})
    socket.addEventListener("close", ({ code }) => end({ code }))

    yield* Deferred.await(opened).pipe(
      Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.fail({ code: 1006 }) })
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
          Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.fail(new ConnectionLost({})) }),
          Effect.ensuring(Effect.sync(() => waiting.delete(id)))
        )
      }).pipe(inFlight.withPermit)

    return { frames, command, cut: (closed) => Effect.sync(() => end(closed)) }
  })
