/**
 * The comparison: direct messages as the socket.io tutorial builds a chat, with `pg`: a room per conversation, an INSERT
 * per message, `io.to(room).emit`, then the acknowledgement. Run as `node socketIo.ts <database>`.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import pg from "pg"
import { Server } from "socket.io"

interface Send {
  readonly conversation: string
  readonly clientId: string
  readonly body: string
}

const [database = "socket_io"] = process.argv.slice(2)
const pool = new pg.Pool({ host: "127.0.0.1", user: "postgres", database, max: 10 })
await pool.query(`
  CREATE TABLE messages (
    id bigserial PRIMARY KEY, conversation uuid NOT NULL, sender text NOT NULL, client_id text NOT NULL,
    body text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), UNIQUE (sender, client_id)
  )`)

const http = createServer()
const io = new Server(http)
io.on("connection", (socket) => {
  const { conversation, user } = socket.handshake.auth
  socket.join(conversation)
  socket.on("chat message", async (message: Send, acknowledge: (answer: unknown) => void) => {
    const { rows } = await pool.query(
      "INSERT INTO messages (conversation, sender, client_id, body) VALUES ($1, $2, $3, $4) RETURNING id, created_at",
      [message.conversation, user, message.clientId, message.body]
    )
    io.to(message.conversation).emit("chat message", { ...message, sender: user, ...rows[0] })
    acknowledge(rows[0])
  })
})
http.listen(0, "127.0.0.1", () => {
  const { port } = http.address() as AddressInfo
  process.stdout.write(`${JSON.stringify({ message: "listening", url: `http://127.0.0.1:${port}` })}\n`)
})
process.on("SIGTERM", () => process.exit(0))
