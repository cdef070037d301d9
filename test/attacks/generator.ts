/**
 * Sends one attack to a port until it is killed: `node generator.ts PORT ATTACK`, with what the attack needs to know as JSON in
 * the environment variable ATTACK. It runs as a process of its own, so that it does not slow down who measures.
 */
import { connect, createServer, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { frameBytes } from "../support/FrameBytes.ts"

/** What attacks know: accounts of their own, the first by its login too, and a conversation of that with large messages. */
export interface Known {
  readonly token: string
  readonly tokens: ReadonlyArray<string>
  readonly username: string
  readonly password: string
  readonly conversationId: string
}

const host = "127.0.0.1"
const [portText = "0", name = ""] = process.argv.slice(2)
const port = Number(portText)
const known: Known = JSON.parse(process.env.ATTACK ?? "{}")

const head = (method: string, path: string, headers: Record<string, string> = {}) =>
  `${method} ${path} HTTP/1.1\r\n${Object.entries({ host: "x", ...headers })
    .map(([key, value]) => `${key}: ${value}\r\n`)
    .join("")}\r\n`
const post = (path: string, json: unknown, headers: Record<string, string> = {}) => {
  const body = JSON.stringify(json)
  const all = { "content-type": "application/json", "content-length": String(Buffer.byteLength(body)), ...headers }
  return head("POST", path, all) + body
}
const bearer = { authorization: `Bearer ${known.token}` }
const upgrade = (path: string, headers: Record<string, string> = {}) =>
  head("GET", path, {
    connection: "upgrade",
    upgrade: "websocket",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-version": "13",
    ...headers
  })
const frame = (json: unknown) => {
  const payload = Buffer.from(JSON.stringify(json))
  return payload.length < 65_536 ? frameBytes(payload) : largeFrame(payload)
}
const largeFrame = (payload: Buffer) => {
  const header = Buffer.alloc(14)
  header[0] = 0x81
  header[1] = 0x80 | 127
  header.writeBigUInt64BE(BigInt(payload.length), 2)
  return Buffer.concat([header, payload])
}
const repeated = (bytes: Uint8Array, times: number) => Buffer.concat(Array.from({ length: times }, () => bytes))

/** A connection: its first answer, and its end. */
const open = () => {
  // Another address than that of the bystander, and of each other attack, so that none suffers for another one.
  const socket = connect({ port, host, localAddress: `127.0.0.${2 + Object.keys(attacks).indexOf(name)}` })
  socket.on("error", () => {})
  const ended = new Promise<void>((resolve) => socket.once("close", () => resolve()))
  const answer = () => Promise.race([ended, sleep(2000), new Promise((resolve) => socket.once("data", resolve))])
  return { socket, ended, answer }
}

/** Writes as fast as the other side reads, until the connection ends. */
const pour = async (socket: Socket, ended: Promise<void>, bytes: Uint8Array | string) => {
  while (!socket.destroyed)
    if (socket.write(bytes)) await sleep(1)
    else await Promise.race([ended, new Promise((resolve) => socket.once("drain", resolve))])
}

/** Keeps so many connections busy. A connection that ends is replaced. */
const keep = (count: number, serve: (index: number) => Promise<void>) =>
  Array.from({ length: count }, async (_, index) => {
    for (;;) {
      await serve(index)
      await sleep(20)
    }
  })

/** Pours bytes over raw connections; the answers are read and dropped. */
const pouring = (count: number, bytes: Uint8Array | string) =>
  keep(count, async () => {
    const { ended, socket } = open()
    socket.resume()
    await pour(socket, ended, bytes)
  })

/** Asks again as soon as there is an answer. */
const asking = (count: number, request: string | (() => string)) =>
  keep(count, async () => {
    const { answer, socket } = open()
    while (!socket.destroyed) {
      socket.write(typeof request === "string" ? request : request())
      await answer()
    }
  })

/** Pours frames over sockets that have been upgraded, after a first frame. */
const framing = (count: number, path: string, bytes: Uint8Array, first?: unknown) =>
  keep(count, async () => {
    const { answer, ended, socket } = open()
    socket.write(upgrade(path))
    await answer()
    socket.resume()
    if (first !== undefined) socket.write(frame(first))
    await pour(socket, ended, bytes)
  })

/** Opens connections that say something and then nothing, and that do not read. */
const silent = (count: number, ...bytes: ReadonlyArray<Uint8Array | string>) =>
  keep(count, async () => {
    const { ended, socket } = open()
    for (const each of bytes) socket.write(each)
    socket.pause()
    await Promise.race([ended, sleep(30_000)])
    socket.destroy()
  })

/** Sends a request byte by byte. */
const dripping = (count: number, first: string) =>
  keep(count, async () => {
    const { ended, socket } = open()
    socket.write(first)
    while (!socket.destroyed) {
      socket.write("x")
      await Promise.race([ended, sleep(500)])
    }
  })

const hello = (rest: object = {}) => ({ id: 1, op: "hello", data: { token: known.token, ...rest } })
/** The hello of one of all accounts, each of which may have only so many sockets. */
const helloOf = (index: number) => hello({ token: known.tokens[index % known.tokens.length] })
const cursorsOf = (count: number) =>
  Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`0198a7a0-0000-7000-8000-${String(i).padStart(12, "0")}`, i])
  )
const call = (id: number) => ({ _tag: "Request", id: String(id), tag: "user.me", payload: null, headers: [] })
const search = (query: string) => head("GET", `/v1/search/messages?query=${encodeURIComponent(query)}`, bearer)

/** The attacks by name. */
export const attacks = {
  "pipelined /metrics on 60 connections": () => pouring(60, head("GET", "/metrics").repeat(500)),
  "garbage over /rpc/ws": () => framing(10, "/rpc/ws", repeated(frame({ x: 1 }), 1000)),
  "2,500 calls in a frame of /rpc/ws": () =>
    framing(10, "/rpc/ws", frame(Array.from({ length: 2500 }, (_, i) => call(i)))),
  "silent /rpc/ws": () => silent(180, upgrade("/rpc/ws")),
  "answers that are never read": () => silent(200, head("GET", "/docs").repeat(20)),
  "upgrade to nothing with a body": () =>
    silent(300, head("POST", "/", { connection: "upgrade", upgrade: "foo", "content-length": "1000" })),
  "slow bodies": () =>
    dripping(300, head("POST", "/v1/auth/login", { "content-type": "application/json", "content-length": "5000" })),
  slowloris: () => dripping(300, "GET / HTTP/1.1\r\nhost: x\r\nx: "),
  "200 stalled readers of a busy conversation": () =>
    keep(200, async (index) => {
      const { answer, ended, socket } = open()
      socket.write(upgrade("/v1/ws"))
      await answer()
      socket.write(frame(helloOf(index)))
      await answer()
      socket.pause()
      await Promise.race([ended, sleep(60_000)])
      socket.destroy()
    }),
  "ping flood": () => framing(20, "/v1/ws", repeated(frameBytes(new Uint8Array(), { opcode: 9 }), 1000)),
  "command flood": () => framing(20, "/v1/ws", repeated(frame({ id: 2, op: "user.unread" }), 200), hello()),
  "huge headers": () => pouring(30, head("GET", "/health", { x: "y".repeat(30_000) })),
  "reconnect storm with 5,000 cursors": () =>
    keep(20, async () => {
      const { answer, socket } = open()
      socket.write(upgrade("/v1/ws"))
      await answer()
      socket.write(frame(hello({ cursors: cursorsOf(5000) })))
      await answer()
      socket.destroy()
    }),
  "refresh with garbage": () => asking(50, post("/v1/auth/refresh", { refreshToken: "x".repeat(70) })),
  "bodies with 60,000 unknown keys": () => {
    const keys = Object.fromEntries(Array.from({ length: 60_000 }, (_, i) => [`k${i}`, 1]))
    return asking(20, post("/v1/auth/refresh", { refreshToken: "x", ...keys }))
  },
  "login loop of one account": () =>
    asking(300, post("/v1/auth/login", { login: known.username, password: known.password })),
  "search of negations": () => asking(30, search("-zzz")),
  "search of common words": () => asking(30, search("word text")),
  "sync with 20,000 cursors": () => asking(20, post("/v1/sync", { cursors: cursorsOf(20_000) }, bearer)),
  "sync with 5,000 cursors": () => asking(20, post("/v1/sync", { cursors: cursorsOf(5000) }, bearer)),
  "big pages": () => asking(50, head("GET", `/v1/conversations/${known.conversationId}/messages?limit=200`, bearer)),
  "spellings of one token": () => {
    let n = 0
    return asking(50, () =>
      head("GET", "/v1/users/me", { authorization: `Bearer ${known.token}${"=".repeat(n++ % 50)}` })
    )
  }
}

if (name === "drop") {
  // Reads and drops: an answer is given only where an attack waits for one.
  const server = createServer((socket) => {
    socket.on("error", () => {})
    socket.on("data", (data) => {
      const text = data.subarray(0, 400).toString("latin1")
      if (/upgrade: websocket/.test(text)) socket.write("HTTP/1.1 101 Switching Protocols\r\n\r\n")
      else if (/^(GET|POST) /.test(text)) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    })
  })
  server.listen(port, host, () => {
    const address = server.address()
    process.stdout.write(`${typeof address === "object" ? address?.port : 0}\n`)
  })
} else if (name !== "") {
  for (const [title, start] of Object.entries(attacks)) if (title === name) start()
}
