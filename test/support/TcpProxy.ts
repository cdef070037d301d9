import { connect, createServer, type Socket } from "node:net"
import { Effect } from "effect"

/**
 * Starts a proxy between a client and a server on 127.0.0.1. `stall` accepts no more bytes, in both directions and on
 * later connections too, so that links are half-open. `cut` ends all connections and refuses further ones. `delay`
 * slows each way. `point` leads later connections to another port.
 */
export const startProxy = Effect.fnUntraced(function* (targetPort: number) {
  const sockets = new Set<Socket>()
  let target = targetPort
  let delayMs = 0
  let stalled = false
  let refusing = false

  const pipe = (from: Socket, to: Socket) => {
    sockets.add(from)
    if (stalled) from.pause()
    from.on("data", (chunk) => setTimeout(() => to.writable && to.write(chunk), delayMs))
    from.on("error", () => from.destroy())
    from.on("close", () => {
      sockets.delete(from)
      to.destroy()
    })
  }

  const server = createServer((client) => {
    if (refusing) return client.destroy()
    const upstream = connect(target, "127.0.0.1")
    pipe(client, upstream)
    pipe(upstream, client)
  })
  const port = yield* Effect.callback<number>((resume) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
    })
  })
  const cut = Effect.sync(() => {
    refusing = true
    for (const socket of sockets) socket.destroy()
  })
  yield* Effect.addFinalizer(() =>
    Effect.andThen(
      cut,
      Effect.sync(() => server.close())
    )
  )

  return {
    port,
    connections: () => sockets.size / 2,
    point: (port: number) =>
      Effect.sync(() => {
        target = port
      }),
    delay: (millis: number) =>
      Effect.sync(() => {
        delayMs = millis
      }),
    stall: Effect.sync(() => {
      stalled = true
      for (const socket of sockets) socket.pause()
    }),
    cut,
    heal: Effect.sync(() => {
      refusing = false
      stalled = false
      for (const socket of sockets) socket.resume()
    })
  }
})
