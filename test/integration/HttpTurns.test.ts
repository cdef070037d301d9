import type { IncomingMessage, ServerResponse } from "node:http"
import { connect, type Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect } from "effect"
import { makeNodeServer } from "../../src/http/server/NodeServer.ts"
import { Settings } from "../../src/services/platform/Settings.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"
import { countTurns } from "../support/Turns.ts"

const many = 40

const requestOf = (who: string) => `GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: ${who}\r\n\r\n`
const handshakeOf = (who: string) =>
  requestOf(who).replace("\r\n\r\n", "\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")

/** Makes a server without routes: it notes whose requests begin, and in which turn of the event loop. */
const makeServer = Effect.fnUntraced(function* (trustedProxies: ReadonlyArray<string>) {
  const settings = yield* Settings.pipe(Effect.provide(SettingsMemory.layerMemory()))
  const count = yield* countTurns
  const shutOut: Array<string> = []
  const { destroyConnections, server } = makeNodeServer(
    {
      server: { ...settings.server, trustedProxies },
      // No test waits for it.
      timers: { ...settings.timers, request: 600_000 }
    },
    (address) => void shutOut.push(address)
  )
  const begun: Array<{ readonly who: string; readonly turn: number }> = []
  server.on("request", ({ headers }: IncomingMessage, response: ServerResponse) => {
    begun.push({ who: String(headers["x-forwarded-for"]), turn: count.turns })
    response.end()
  })
  // Node ends the connection of a handshake for which nothing listens.
  server.on("upgrade", () => {})
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.andThen(
        Effect.sync(destroyConnections),
        Effect.callback<void>((done) => void server.close(() => done(Effect.void)))
      )
  )
  const address = server.address()
  const port = typeof address === "object" ? (address?.port ?? 0) : 0
  return {
    begun,
    shutOut,
    server,
    destroyConnections,
    open: (localAddress = "127.0.0.1") =>
      Effect.callback<Socket>((resume) => {
        const socket = connect({ port, host: "127.0.0.1", localAddress }, () => resume(Effect.succeed(socket)))
        socket.on("error", () => {}).resume()
      }),
    waitUntil: (holds: () => boolean) => Effect.repeat(Effect.sleep("1 millis"), { until: () => Effect.sync(holds) }),
    /** The most requests that began in one turn. */
    most: () => Math.max(...Object.values(Arr.groupBy(begun, ({ turn }) => String(turn))).map(({ length }) => length))
  }
})

describe("many requests of an address that come at once", () => {
  for (const [kind, textOf] of Object.entries({ requests: requestOf, handshakes: handshakeOf }))
    it.live(`begin four in a turn of the event loop, and another address does not wait for them: ${kind}`, () =>
      Effect.gen(function* () {
        const { begun, most, open, waitUntil } = yield* makeServer([])
        const sockets = yield* Effect.forEach(Arr.range(1, many), () => open())
        const other = yield* open("127.0.0.2")
        for (const socket of sockets) socket.write(textOf("many"))
        other.write(textOf("other"))
        yield* waitUntil(() => begun.length === many + 1)
        assert.isAtMost(most(), 4 + 1)
        assert.isBelow(
          begun.findIndex(({ who }) => who === "other"),
          many
        )
      })
    )

  it.live("begin together when a proxy says that they come from many clients", () =>
    Effect.gen(function* () {
      const { begun, most, open, waitUntil } = yield* makeServer(["127.0.0.1"])
      const sockets = yield* Effect.forEach(Arr.range(1, many), () => open())
      for (const [n, socket] of sockets.entries()) socket.write(requestOf(`203.0.113.${n}`))
      yield* waitUntil(() => begun.length === many)
      assert.isAbove(most(), 4)
    })
  )

  it.live("do not begin any more when their connections have ended", () =>
    Effect.gen(function* () {
      const { begun, destroyConnections, open, server, waitUntil } = yield* makeServer([])
      server.on("request", () => {
        if (begun.length === 5) destroyConnections()
      })
      const sockets = yield* Effect.forEach(Arr.range(1, many), () => open())
      for (const socket of sockets) socket.write(requestOf("many"))
      yield* waitUntil(() => sockets.every(({ closed }) => closed))
      yield* Effect.sleep("50 millis")
      assert.strictEqual(begun.length, 8)
    })
  )
})

const ends: Record<string, (request: IncomingMessage, response: ServerResponse) => void> = {
  "end without an answer": ({ socket }) => void socket.destroy(),
  "are refused": (_request, response) => void response.writeHead(413, { connection: "close" })
}
for (const [what, end] of Object.entries(ends))
  it.live(`an address whose large bodies ${what} again and again cannot connect any more`, () =>
    Effect.gen(function* () {
      const { begun, open, server, waitUntil } = yield* makeServer([])
      server.prependListener("request", end)
      const ends = { total: 0 }
      yield* Effect.repeat(
        Effect.gen(function* () {
          const socket = yield* open()
          socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n${"x".repeat(20_000)}`)
          yield* waitUntil(() => socket.closed)
          ends.total++
        }),
        { until: () => Effect.sync(() => begun.length < ends.total || ends.total === 2000) }
      )
      assert.isAtLeast(begun.length, 500)
      assert.isBelow(begun.length, ends.total)
    })
  )

it.live("an address that gives up request after request before an answer cannot connect any more, and others can", () =>
  Effect.gen(function* () {
    const { begun, open, server, shutOut, waitUntil } = yield* makeServer([])
    server.removeAllListeners("request")
    server.on("request", ({ socket: { remoteAddress } }, response) => {
      begun.push({ who: String(remoteAddress), turn: 0 })
      if (remoteAddress === "127.0.0.2") response.end()
    })
    const gaveUp = { total: 0 }
    yield* Effect.repeat(
      Effect.gen(function* () {
        const socket = yield* open()
        const before = begun.length
        socket.write(requestOf("one"))
        yield* waitUntil(() => begun.length > before || socket.closed)
        socket.destroy()
        gaveUp.total++
      }),
      { until: () => Effect.sync(() => begun.length < gaveUp.total || gaveUp.total === 2000) }
    )
    assert.isAtLeast(begun.length, 500)
    assert.isBelow(begun.length, gaveUp.total)
    assert.deepStrictEqual(shutOut, ["127.0.0.1"])
    const other = yield* open("127.0.0.2")
    other.write(requestOf("other"))
    yield* waitUntil(() => begun.at(-1)?.who === "127.0.0.2")
  })
)

it.live("a large body that is refused leaves no timer, which would keep what has come in of it", () =>
  Effect.gen(function* () {
    const { open, server, waitUntil } = yield* makeServer([])
    server.prependListener("request", ends["are refused"] ?? assert.fail())
    const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length
    const before = timers()
    const sockets = yield* Effect.forEach(Arr.range(1, many), () => open())
    for (const socket of sockets)
      socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n${"x".repeat(20_000)}`)
    yield* waitUntil(() => sockets.every(({ closed }) => closed))
    // Others may have started a few.
    yield* waitUntil(() => timers() < before + many / 2)
  })
)
