/**
 * The yardstick for a room: plain `ws`, one frame per message, and the same bytes written to every socket. It stores
 * nothing, and has no members, limits or handling of slow readers.
 */
import { createServer } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { WebSocketServer } from "ws"
import { serverFrame } from "./Frames.ts"

const room = new Set<Socket>()
let seq = 0

const http = createServer()
const server = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 65_536 })
http.on("upgrade", (request, socket: Socket, head) =>
  server.handleUpgrade(request, socket, head, (ws) => {
    const { searchParams } = new URL(request.url ?? "/", "http://localhost")
    const sender = searchParams.get("user")
    socket.setNoDelay(true)
    room.add(socket)
    ws.send(JSON.stringify({ ready: true }))
    ws.on("close", () => room.delete(socket))
    ws.on("message", (data) => {
      const { body, clientId, conversation, id } = JSON.parse(data.toString())
      seq++
      socket.write(serverFrame(JSON.stringify({ id, ok: { seq } })))
      // The padding makes it as long as the event of the service.
      const padding = " ".repeat(500)
      const event = serverFrame(
        JSON.stringify({ event: "message", conversation, seq, sender, clientId, body, padding })
      )
      for (const member of room) member.write(event)
    })
  })
)
http.listen(0, "127.0.0.1", () => {
  const { port } = http.address() as AddressInfo
  process.stdout.write(`${JSON.stringify({ message: "listening", url: `http://127.0.0.1:${port}` })}\n`)
})
process.on("SIGTERM", () => process.exit(0))
