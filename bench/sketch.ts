/**
 * The yardstick: direct messages on plain `ws` and `pg`, as fast as Node gets without being a product. It knows no
 * users, members, retries, limits or logs, and numbers conversations in memory. Messages are committed in groups and
 * each event is encoded once, with one write per socket and batch. Run as `node sketch.ts <database>`.
 */
import { createServer } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import pg from "pg"
import { WebSocketServer } from "ws"
import { serverFrame } from "./Frames.ts"

interface Send {
  readonly id: number
  readonly conversation: string
  readonly clientId: string
  readonly body: string
}

interface Pending extends Send {
  readonly socket: Socket
  readonly sender: string
  readonly seq: number
  readonly at: string
}

const [database = "sketch"] = process.argv.slice(2)
const client = new pg.Client({ host: "127.0.0.1", user: "postgres", database })
await client.connect()
await client.query(`
  CREATE TABLE messages (
    conversation uuid NOT NULL, seq bigint NOT NULL, sender text NOT NULL, client_id text NOT NULL, body text NOT NULL,
    created_at timestamptz NOT NULL, PRIMARY KEY (conversation, seq), UNIQUE (sender, client_id)
  )`)

const rooms = new Map<string, Set<Socket>>()
const heads = new Map<string, number>()
let queue: Array<Pending> = []
let flushing = false

const insert = {
  name: "insert",
  text: `INSERT INTO messages (conversation, seq, sender, client_id, body, created_at)
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])`
}

const flush = async () => {
  flushing = true
  while (queue.length > 0) {
    const batch = queue
    queue = []
    await client.query({
      ...insert,
      values: [
        batch.map((message) => message.conversation),
        batch.map((message) => message.seq),
        batch.map((message) => message.sender),
        batch.map((message) => message.clientId),
        batch.map((message) => message.body),
        batch.map((message) => message.at)
      ]
    })
    const corked = new Set<Socket>()
    const write = (socket: Socket, bytes: Buffer) => {
      if (!corked.has(socket)) socket.cork()
      corked.add(socket)
      socket.write(bytes)
    }
    for (const { at, body, clientId, conversation, id, sender, seq, socket } of batch) {
      write(socket, serverFrame(JSON.stringify({ id, ok: { seq, at } })))
      const event = serverFrame(JSON.stringify({ event: "message", conversation, seq, sender, clientId, body, at }))
      for (const member of rooms.get(conversation) ?? []) write(member, event)
    }
    for (const socket of corked) socket.uncork()
  }
  flushing = false
}

const http = createServer()
const server = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 65_536 })
http.on("upgrade", (request, socket: Socket, head) =>
  server.handleUpgrade(request, socket, head, (ws) => {
    const { searchParams } = new URL(request.url ?? "/", "http://localhost")
    const conversation = searchParams.get("conversation") ?? ""
    const sender = searchParams.get("user") ?? ""
    socket.setNoDelay(true)
    const room = rooms.get(conversation) ?? new Set()
    rooms.set(conversation, room.add(socket))
    ws.send(JSON.stringify({ ready: true }))
    ws.on("close", () => room.delete(socket))
    ws.on("message", (data) => {
      const message: Send = JSON.parse(data.toString())
      const seq = (heads.get(message.conversation) ?? 0) + 1
      heads.set(message.conversation, seq)
      queue.push({ ...message, socket, sender, seq, at: new Date().toISOString() })
      if (!flushing) flush()
    })
  })
)
http.listen(0, "127.0.0.1", () => {
  const { port } = http.address() as AddressInfo
  process.stdout.write(`${JSON.stringify({ message: "listening", url: `http://127.0.0.1:${port}` })}\n`)
})
process.on("SIGTERM", () => process.exit(0))
