/**
 * The yardstick: direct messages on plain `ws` and `pg`, as fast as Node allows without the features of a product: no
 * users, members, retries, limits or logs. Messages are committed in groups, each event is encoded once, and a socket
 * is written to once a batch. Run as `node sketch.ts <database> <numbering>`: `database` takes the seq of a
 * conversation from its row in the same transaction, which survives a restart; `memory` counts in this process and only
 * inserts, which is the floor.
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
  readonly at: string
  seq: number
}

const [database = "sketch", numbering = "database"] = process.argv.slice(2)
const client = new pg.Client({ host: "127.0.0.1", user: "postgres", database })
await client.connect()
await client.query(`
  CREATE TABLE messages (
    conversation uuid NOT NULL, seq bigint NOT NULL, sender text NOT NULL, client_id text NOT NULL, body text NOT NULL,
    created_at timestamptz NOT NULL, PRIMARY KEY (conversation, seq), UNIQUE (sender, client_id)
  )`)

await client.query("CREATE TABLE heads (conversation uuid PRIMARY KEY, seq bigint NOT NULL) WITH (fillfactor = 50)")

const rooms = new Map<string, Set<Socket>>()
const heads = new Map<string, number>()
let queue: Array<Pending> = []
let flushing = false

const columns = (batch: ReadonlyArray<Pending>) => [
  batch.map((message) => message.conversation),
  batch.map((message) => message.sender),
  batch.map((message) => message.clientId),
  batch.map((message) => message.body),
  batch.map((message) => message.at)
]

const store = {
  memory: async (batch: ReadonlyArray<Pending>) => {
    for (const message of batch) {
      message.seq = (heads.get(message.conversation) ?? 0) + 1
      heads.set(message.conversation, message.seq)
    }
    await client.query({
      name: "insert",
      text: `INSERT INTO messages (conversation, sender, client_id, body, created_at, seq)
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[])`,
      values: [...columns(batch), batch.map((message) => message.seq)]
    })
  },
  database: async (batch: ReadonlyArray<Pending>) => {
    const { rows } = await client.query({
      name: "append",
      text: `WITH entry AS MATERIALIZED (
          SELECT *, row_number() OVER (PARTITION BY conversation ORDER BY ord) AS place,
            count(*) OVER (PARTITION BY conversation) AS places
          FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[]) WITH ORDINALITY
            AS e(conversation, sender, client_id, body, at, ord)
        ), head AS (
          INSERT INTO heads AS h (conversation, seq)
          SELECT conversation, max(places) FROM entry GROUP BY conversation ORDER BY conversation
          ON CONFLICT (conversation) DO UPDATE SET seq = h.seq + EXCLUDED.seq
          RETURNING h.conversation, h.seq
        ), numbered AS MATERIALIZED (
          SELECT entry.*, head.seq - places + place AS seq FROM entry JOIN head USING (conversation)
        ), stored AS (
          INSERT INTO messages (conversation, seq, sender, client_id, body, created_at)
          SELECT conversation, seq, sender, client_id, body, at FROM numbered
        )
        SELECT seq::int FROM numbered ORDER BY ord`,
      values: columns(batch)
    })
    batch.forEach((message, index) => {
      message.seq = rows[index].seq
    })
  }
}

const flush = async () => {
  flushing = true
  while (queue.length > 0) {
    const batch = queue
    queue = []
    await (numbering === "memory" ? store.memory(batch) : store.database(batch))
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
      queue.push({ ...message, socket, sender, seq: 0, at: new Date().toISOString() })
      if (!flushing) flush()
    })
  })
)
http.listen(0, "127.0.0.1", () => {
  const { port } = http.address() as AddressInfo
  process.stdout.write(`${JSON.stringify({ message: "listening", url: `http://127.0.0.1:${port}` })}\n`)
})
process.on("SIGTERM", () => process.exit(0))
