import { createServer, type Server as HttpServer } from "node:http"
import { createServer as createSocketServer, type Server, type Socket } from "node:net"
import { Effect } from "effect"

/** What the scanners of the tests find, and its name. */
export const virus = { bytes: Buffer.from("a planted virus of the tests"), name: "Chat.Test" }

/** What a server of clamd does with a stream of more bytes than it takes. */
const streamMaxLength = 4_000_000

/** The command INSTREAM of clamd: parts with their length in four bytes before them, until one of no bytes. */
const serveClamd = (socket: Socket) => {
  const command = "zINSTREAM\0"
  let received = Buffer.alloc(0)
  let hasCommand = false
  const content: Array<Buffer> = []
  let size = 0
  const answer = (text: string) => socket.end(`${text}\0`)
  socket.on("error", () => {})
  socket.on("data", (part: Buffer) => {
    received = Buffer.concat([received, part])
    if (!hasCommand) {
      if (received.length < command.length) return
      if (received.toString("latin1", 0, command.length) !== command) return answer("UNKNOWN COMMAND")
      hasCommand = true
      received = received.subarray(command.length)
    }
    while (received.length >= 4) {
      const length = received.readUInt32BE(0)
      if (length === 0) {
        const found = Buffer.concat(content).includes(virus.bytes)
        return answer(found ? `stream: ${virus.name}.UNOFFICIAL FOUND` : "stream: OK")
      }
      if (received.length < 4 + length) return
      content.push(received.subarray(4, 4 + length))
      received = received.subarray(4 + length)
      size += length
      if (size > streamMaxLength) return answer("INSTREAM size limit exceeded. ERROR")
    }
  })
}

const listening = <S extends Server | HttpServer>(server: S, where: string | number) =>
  Effect.acquireRelease(
    Effect.callback<S>((resume) => {
      server.listen(typeof where === "string" ? { path: where } : { port: where, host: "127.0.0.1" }, () =>
        resume(Effect.succeed(server))
      )
    }),
    () => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  )

const portOf = (server: Server | HttpServer) => {
  const address = server.address()
  return typeof address === "object" && address !== null ? address.port : 0
}

/** A server that speaks the protocol of clamd, on a free port or at the path of a unix socket. Returns its port. */
export const startClamdServer = (where: string | number = 0) =>
  Effect.map(listening(createSocketServer(serveClamd), where), portOf)

/** A server that scans what it gets as the body of a POST. Returns its URL. */
export const startHttpScanner = (status = 200) =>
  Effect.map(
    listening(
      createServer((request, response) => {
        const parts: Array<Buffer> = []
        request.on("data", (part: Buffer) => parts.push(part))
        request.on("end", () => {
          const found = Buffer.concat(parts).includes(virus.bytes)
          response.writeHead(found ? 406 : status, { connection: "close" }).end(found ? `${virus.name}\nmore` : "")
        })
      }),
      0
    ),
    (server) => `http://127.0.0.1:${portOf(server)}/scan`
  )
