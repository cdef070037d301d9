import { connect, type NetConnectOpts, type Socket } from "node:net"
import { Effect, Layer, Stream } from "effect"
import { ScanFailed, Scanner } from "../../services/files/Scanner.ts"

/** How long clamd may be silent while it is to read or to answer. */
const patience = "60 seconds"

const failed = (reason: string) => new ScanFailed({ reason })

const open = (where: NetConnectOpts) =>
  Effect.acquireRelease(
    Effect.callback<Socket, ScanFailed>((resume) => {
      const socket = connect(where)
      socket.once("connect", () => resume(Effect.succeed(socket)))
      socket.once("error", ({ message }) => resume(Effect.fail(failed(message))))
      return Effect.sync(() => socket.destroy())
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** A part of the stream: its length in four bytes, and its bytes. A part of no bytes is the end. */
const framed = (chunk: Uint8Array) => {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(chunk.length)
  return Buffer.concat([length, chunk])
}

/** What clamd says until it closes the connection, which it does after each answer. */
const answerOf = (socket: Socket) => {
  const parts: Array<Buffer> = []
  socket.on("data", (part: Buffer) => parts.push(part))
  // It is followed by the close, and clamd may have answered before.
  socket.on("error", () => {})
  return {
    /** Writes bytes, and waits until the socket takes more. Once clamd has closed the connection, nothing is written. */
    write: (bytes: Uint8Array) =>
      Effect.callback<void>((resume) => {
        if (socket.destroyed || !socket.writable) return resume(Effect.void)
        socket.write(bytes, () => resume(Effect.void))
      }),
    whole: Effect.callback<string>((resume) => {
      const end = () => resume(Effect.succeed(Buffer.concat(parts).toString("utf8").replace(/\0.*$/s, "").trim()))
      if (socket.closed || socket.readableEnded) return end()
      socket.once("end", end)
      socket.once("close", end)
      return Effect.sync(() => socket.off("end", end).off("close", end))
    })
  }
}

/** The outcome of an answer such as `stream: OK` or `stream: Win.Test.EICAR_HDB-1 FOUND`. */
const outcomeOf = (answer: string): Effect.Effect<string | undefined, ScanFailed> => {
  if (answer === "stream: OK") return Effect.succeed(undefined)
  const [, name] = /^stream: (.+) FOUND$/.exec(answer) ?? []
  return name === undefined
    ? Effect.fail(failed(answer === "" ? "it has closed the connection" : answer))
    : Effect.succeed(name)
}

const inTime = Effect.timeoutOrElse({
  duration: patience,
  orElse: () => Effect.fail(failed(`no answer within ${patience}`))
})

/** Scans with clamd, by its command INSTREAM, over TCP or a unix socket. Each scan has a connection of its own. */
export const layer = (where: NetConnectOpts) =>
  Layer.succeed(Scanner, {
    scan: Effect.fnUntraced(function* <E>(content: Stream.Stream<Uint8Array, E>) {
      const socket = yield* inTime(open(where))
      const { whole, write } = answerOf(socket)
      yield* inTime(write(Buffer.from("zINSTREAM\0")))
      yield* Stream.runForEach(
        Stream.filter(content, (chunk) => chunk.length > 0),
        (chunk) => inTime(write(framed(chunk)))
      )
      yield* inTime(write(framed(Buffer.alloc(0))))
      return yield* Effect.flatMap(inTime(whole), outcomeOf)
    }, Effect.scoped)
  })
