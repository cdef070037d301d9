/**
 * Sends one attack to a port until it is killed: `node generator.ts PORT ATTACK`, with what the attack needs to know as JSON in
 * the environment variable ATTACK. It runs as a process of its own, so that it does not slow down who measures.
 */
import { randomUUID } from "node:crypto"
import { connect, createServer, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { frameBytes } from "../support/FrameBytes.ts"

/**
 * What attacks know: accounts of their own, the login of another one, and a conversation of the first with large messages, one
 * of which is named. `crowded` is the token of a user in hundreds of conversations, and `refreshTokens` are of sessions that
 * nothing else uses.
 */
export interface Known {
  readonly token: string
  readonly tokens: ReadonlyArray<string>
  readonly username: string
  readonly password: string
  readonly conversationId: string
  readonly messageId: string
  readonly crowded: string
  readonly refreshTokens: ReadonlyArray<string>
}

const host = "127.0.0.1"
const [portText = "0", name = ""] = process.argv.slice(2)
const port = Number(portText)
const known: Known = JSON.parse(process.env.ATTACK ?? "{}")

const head = (method: string, path: string, headers: Record<string, string> = {}) =>
  `${method} ${path} HTTP/1.1\r\n${Object.entries({ host: "x", ...headers })
    .map(([key, value]) => `${key}: ${value}\r\n`)
    .join("")}\r\n`
const withBody = (method: string, path: string, json: unknown, headers: Record<string, string> = {}) => {
  const body = JSON.stringify(json)
  const all = { "content-type": "application/json", "content-length": String(Buffer.byteLength(body)), ...headers }
  return head(method, path, all) + body
}
const post = (path: string, json: unknown, headers: Record<string, string> = {}) =>
  withBody("POST", path, json, headers)
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
  /** What comes next; empty when nothing does. */
  const answer = async () =>
    String(
      (await Promise.race([ended, sleep(2000), new Promise<Buffer>((resolve) => socket.once("data", resolve))])) ?? ""
    )
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

/** Opens sockets that say hello, and serves each of them once there is an answer. */
const greeting = (
  count: number,
  first: (index: number) => unknown,
  serve: (connection: ReturnType<typeof open>) => Promise<unknown> | undefined
) =>
  keep(count, async (index) => {
    const connection = open()
    connection.socket.write(upgrade("/v1/ws"))
    await connection.answer()
    connection.socket.write(frame(first(index)))
    await connection.answer()
    await serve(connection)
    connection.socket.destroy()
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
const nothing = () => undefined
const numbers = Array.from({ length: 7500 }, () => 1)
const messages = () => `/v1/conversations/${known.conversationId}/messages`
const page = () => head("GET", `${messages()}?limit=200`, bearer)
const search = (query: string) => head("GET", `/v1/search/messages?query=${encodeURIComponent(query)}`, bearer)

/** The attacks by name. */
export const attacks = {
  "pipelined /metrics on 60 connections": () => pouring(60, head("GET", "/metrics").repeat(500)),
  "garbage over /rpc/ws": () => framing(10, "/rpc/ws", repeated(frame({ x: 1 }), 1000)),
  "2,500 calls in a frame of /rpc/ws": () =>
    framing(10, "/rpc/ws", frame(Array.from({ length: 2500 }, (_, i) => call(i)))),
  "very many wrong ids over /rpc/ws": () =>
    framing(
      10,
      "/rpc/ws",
      frame({ ...call(1), tag: "member.add", payload: { conversationId: "x", userIds: numbers } })
    ),
  "a fraction among very many numbers over /rpc/ws": () =>
    framing(10, "/rpc/ws", frame({ ...call(1), payload: { fraction: 1.5, numbers } })),
  "commands without a name over /v1/ws": () => framing(10, "/v1/ws", frame(numbers.map((id) => ({ id })))),
  "large commands over 50 sockets": () =>
    framing(50, "/v1/ws", repeated(frame({ id: 2, op: "ping", data: cursorsOf(1000) }), 20), hello()),
  "silent /rpc/ws": () => silent(180, upgrade("/rpc/ws")),
  "answers that are never read": () => silent(200, head("GET", "/docs").repeat(20)),
  "upgrade to nothing with a body": () =>
    silent(300, head("POST", "/", { connection: "upgrade", upgrade: "foo", "content-length": "1000" })),
  "slow bodies": () =>
    dripping(300, head("POST", "/v1/auth/login", { "content-type": "application/json", "content-length": "5000" })),
  slowloris: () => dripping(300, "GET / HTTP/1.1\r\nhost: x\r\nx: "),
  "200 stalled readers of a busy conversation": () =>
    greeting(200, helloOf, ({ ended, socket }) => {
      socket.pause()
      return Promise.race([ended, sleep(60_000)])
    }),
  "200 sockets that answer no ping": () => greeting(200, helloOf, ({ ended }) => Promise.race([ended, sleep(60_000)])),
  "ping flood": () => framing(20, "/v1/ws", repeated(frameBytes(new Uint8Array(), { opcode: 9 }), 1000)),
  "command flood": () => framing(20, "/v1/ws", repeated(frame({ id: 2, op: "user.unread" }), 200), hello()),
  "huge headers": () => pouring(30, head("GET", "/health", { x: "y".repeat(30_000) })),
  "reconnect storm with 5,000 cursors": () => greeting(20, () => hello({ cursors: cursorsOf(5000) }), nothing),
  "hellos of 250 kB with a bad token": () =>
    greeting(20, () => hello({ token: "bad", cursors: cursorsOf(5600) }), nothing),
  "50 sockets in many conversations": () => greeting(50, () => hello({ token: known.crowded }), nothing),
  "message.list over 50 sockets": () =>
    greeting(
      50,
      () => hello(),
      async ({ answer, socket }) => {
        const list = frame({ id: 2, op: "message.list", data: { conversationId: known.conversationId, limit: 200 } })
        while (!socket.destroyed) {
          socket.write(list)
          await answer()
          // Within the limit of commands.
          await sleep(100)
        }
      }
    ),
  "event streams that reconnect": () =>
    keep(50, async () => {
      const { answer, socket } = open()
      socket.write(head("GET", "/v1/events", { authorization: `Bearer ${known.crowded}` }))
      await answer()
      socket.destroy()
    }),
  "event streams that claim more and more conversations": () => {
    const bases: Array<string> = []
    return keep(50, async (index) => {
      const { answer, socket } = open()
      const claimed = Array.from({ length: 300 }, () => `${randomUUID()}:1`).join(",")
      const lastEventId = `${bases[index] ?? randomUUID()}.${claimed}`
      socket.write(
        head("GET", "/v1/events", { authorization: `Bearer ${known.crowded}`, "last-event-id": lastEventId })
      )
      for (let i = 0; i < 3 && !socket.destroyed; i++) {
        const [, base] = /^id: ?([0-9a-f-]{36})/m.exec(await answer()) ?? []
        if (base === undefined) continue
        bases[index] = base
        break
      }
      socket.destroy()
    })
  },
  "refresh with garbage": () => asking(50, post("/v1/auth/refresh", { refreshToken: "x".repeat(70) })),
  "refresh with good tokens": () =>
    keep(known.refreshTokens.length, async (index) => {
      const { answer, socket } = open()
      let refreshToken = known.refreshTokens[index] ?? ""
      while (!socket.destroyed) {
        socket.write(post("/v1/auth/refresh", { refreshToken }))
        refreshToken = /"refreshToken":"([^"]+)"/.exec(await answer())?.[1] ?? refreshToken
      }
    }),
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
  "bodies in chunks without an end": () =>
    keep(300, async () => {
      const { ended, socket } = open()
      socket.resume()
      socket.write(
        head("POST", "/v1/auth/login", { "content-type": "application/json", "transfer-encoding": "chunked" })
      )
      for (let i = 0; i < 30; i++) socket.write(`8000\r\n${"x".repeat(32_768)}\r\n`)
      await Promise.race([ended, sleep(30_000)])
      socket.destroy()
    }),
  "large bodies with a bad token": () =>
    asking(20, post("/v1/sync", { cursors: cursorsOf(20_000) }, { authorization: "Bearer bad" })),
  "big pages": () => asking(50, page()),
  "big pages that nobody waits for": () =>
    keep(40, async () => {
      const { socket } = open()
      socket.write(page())
      await sleep(100)
      socket.destroy()
    }),
  "requests that nobody waits for": () =>
    keep(40, async () => {
      const { socket } = open()
      socket.write(head("GET", "/v1/users/me", { authorization: `Bearer ${known.token}` }))
      await sleep(25)
      socket.destroy()
    }),
  "big pages that are read slowly": () =>
    keep(50, async () => {
      const { answer, socket } = open()
      socket.write(page().repeat(20))
      while (!socket.destroyed) {
        await answer()
        socket.pause()
        await sleep(1000)
      }
    }),
  "messages of 32 kB": () => {
    let n = 0
    const body = "\u{1F600}".repeat(8000)
    return asking(50, () => post(messages(), { clientMessageId: `${process.pid}-${n++}`, body }, bearer))
  },
  "edits of one message": () => {
    let n = 0
    return asking(50, () => withBody("PATCH", `${messages()}/${known.messageId}`, { body: `edited ${n++}` }, bearer))
  },
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
      else if (/^[A-Z]+ \//.test(text)) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    })
  })
  server.listen(port, host, () => {
    const address = server.address()
    process.stdout.write(`${typeof address === "object" ? address?.port : 0}\n`)
  })
} else if (name !== "") {
  for (const [title, start] of Object.entries(attacks)) if (title === name) start()
}
