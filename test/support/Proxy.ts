import { connect, createServer, type Socket } from "node:net"
import { Effect } from "effect"

/** `up` is from the client to the server. */
type Way = "up" | "down"

/**
 * A TCP proxy on 127.0.0.1 that causes the faults of a network. Within a living connection no bytes are lost or
 * swapped, because TCP prevents that too.
 */
export interface FaultProxy {
  readonly port: number
  /** The number of connections through the proxy. */
  readonly connections: () => number
  /** Delays each way by `millis`, and up to `jitter` more. */
  readonly delay: (millis: number, jitter?: number) => Effect.Effect<void>
  /** Holds back everything in one direction, on old and new connections, until `heal`. */
  readonly hold: (way: Way) => Effect.Effect<void>
  /** Holds back everything in both directions: the links are half-open, and new ones are accepted but silent. */
  readonly stall: Effect.Effect<void>
  /** The server loses all connections without their clients noticing; new connections work. */
  readonly forget: Effect.Effect<void>
  /** Resets all connections; new ones work. */
  readonly reset: Effect.Effect<void>
  /** Resets all connections, and each new one too until `heal`. */
  readonly refuse: Effect.Effect<void>
  /** Ends every fault; what `forget` left behind stays dead. */
  readonly heal: Effect.Effect<void>
}

/** One direction of one connection. */
class Pipe {
  private readonly from: Socket
  private readonly to: Socket
  private queue: Array<{ readonly at: number; readonly chunk: Buffer | null }> = []
  private timer: NodeJS.Timeout | undefined
  private held = false

  constructor(from: Socket, to: Socket, delayMs: () => number) {
    this.from = from
    this.to = to
    const take = (chunk: Buffer | null) => {
      const last = this.queue.at(-1)?.at ?? 0
      this.queue.push({ at: Math.max(last, performance.now() + delayMs()), chunk })
      this.drain()
    }
    from.on("data", (chunk: Buffer) => take(chunk))
    from.on("end", () => take(null))
  }

  hold(): void {
    this.held = true
    this.from.pause()
  }

  release(): void {
    this.held = false
    this.from.resume()
    this.drain()
  }

  private drain(): void {
    clearTimeout(this.timer)
    if (this.held) return
    for (;;) {
      const [next] = this.queue
      if (next === undefined) return
      const wait = next.at - performance.now()
      if (wait > 0) {
        this.timer = setTimeout(() => this.drain(), wait)
        return
      }
      this.queue.shift()
      if (!this.to.writable) continue
      if (next.chunk === null) this.to.end()
      else this.to.write(next.chunk)
    }
  }
}

interface Link {
  readonly client: Socket
  readonly server: Socket
  readonly pipes: Readonly<Record<Way, Pipe>>
}

/** Starts a proxy before the server on `targetPort`, until the scope closes. */
export const startProxy = Effect.fnUntraced(function* (targetPort: number) {
  const links = new Set<Link>()
  const forgotten = new Set<Socket>()
  const held = new Set<Way>()
  let delayMs = 0
  let jitterMs = 0
  let refusing = false

  const accept = (client: Socket) => {
    // The connection may be reset before anything else.
    client.on("error", () => {})
    if (refusing) return void client.resetAndDestroy()
    const server = connect(targetPort, "127.0.0.1")
    const delay = () => delayMs + Math.random() * jitterMs
    const pipes = { up: new Pipe(client, server, delay), down: new Pipe(server, client, delay) }
    const link = { client, server, pipes }
    links.add(link)
    for (const way of held) pipes[way].hold()
    server.on("error", () => {})
    client.setNoDelay(true)
    server.setNoDelay(true)
    client.on("close", () => {
      links.delete(link)
      forgotten.delete(client)
      server.destroy()
    })
    server.on("close", (broken) => {
      // A clean end passes after the bytes before it.
      if (links.has(link) && broken) client.resetAndDestroy()
    })
  }

  const listener = createServer({ allowHalfOpen: true, noDelay: true }, accept)
  const port = yield* Effect.callback<number>((resume) => {
    listener.listen(0, "127.0.0.1", () => {
      const address = listener.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

  const resetAll = () => {
    for (const { client, server } of [...links]) {
      client.resetAndDestroy()
      server.resetAndDestroy()
    }
  }
  const hold = (...ways: ReadonlyArray<Way>) =>
    Effect.sync(() => {
      for (const way of ways) {
        held.add(way)
        for (const { pipes } of links) pipes[way].hold()
      }
    })

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      listener.close()
      resetAll()
      for (const client of forgotten) client.destroy()
    })
  )

  const proxy: FaultProxy = {
    port,
    connections: () => links.size,
    delay: (millis, jitter = 0) =>
      Effect.sync(() => {
        delayMs = millis
        jitterMs = jitter
      }),
    hold: (way) => hold(way),
    stall: hold("up", "down"),
    forget: Effect.sync(() => {
      for (const link of [...links]) {
        links.delete(link)
        forgotten.add(link.client)
        link.server.destroy()
      }
    }),
    reset: Effect.sync(resetAll),
    refuse: Effect.sync(() => {
      refusing = true
      resetAll()
    }),
    heal: Effect.sync(() => {
      refusing = false
      delayMs = 0
      jitterMs = 0
      held.clear()
      for (const { pipes } of links) {
        pipes.up.release()
        pipes.down.release()
      }
    })
  }
  return proxy
})
