import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http"
import { connect, type Socket } from "node:net"
import { Deferred, Effect } from "effect"

/** The answer of the server to a request that was passed on. */
const passedOn = (asked: IncomingMessage, target: URL) =>
  Effect.callback<IncomingMessage>((resume) => {
    const { headers, method, url: path } = asked
    const onward = request({ host: target.hostname, port: target.port, method, path, headers }, (answer) =>
      resume(Effect.succeed(answer))
    )
    onward.on("error", (error) => resume(Effect.die(error)))
    asked.pipe(onward)
  })

const giveBack = (answer: IncomingMessage, response: ServerResponse) => {
  response.writeHead(answer.statusCode ?? 0, answer.rawHeaders)
  answer.pipe(response)
}

/**
 * Starts an HTTP proxy before the server at `url`, until the scope closes. It holds the first request that `holds` accepts:
 * `asked` waits for it, `pass` passes it on and waits for its answer, and `answer` gives that back. All else passes at once,
 * also upgrades.
 */
export const startHoldingProxy = Effect.fnUntraced(function* (
  url: string,
  holds: (request: IncomingMessage) => boolean
) {
  const target = new URL(url)
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const held = yield* Deferred.make<readonly [IncomingMessage, ServerResponse]>()
  const sockets = new Set<Socket>()

  const server = createServer((asked, response) => {
    if (holds(asked) && Deferred.doneUnsafe(held, Effect.succeed([asked, response]))) return
    run(Effect.map(passedOn(asked, target), (answer) => giveBack(answer, response)))
  })
  server.on("connection", (socket: Socket) => sockets.add(socket))
  server.on("upgrade", ({ method, rawHeaders, url: path }: IncomingMessage, client: Socket, head: Buffer) => {
    const upstream = connect(Number(target.port), target.hostname)
    const lines = rawHeaders.map((text, index) => (index % 2 === 0 ? `${text}: ` : `${text}\r\n`))
    upstream.write(`${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`)
    upstream.write(head)
    client.pipe(upstream).pipe(client)
    for (const [one, other] of [
      [client, upstream],
      [upstream, client]
    ] as const) {
      one.on("error", () => one.destroy())
      one.on("close", () => other.destroy())
    }
  })
  const port = yield* Effect.callback<number>((resume) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
    })
  })
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      server.close()
      for (const socket of sockets) socket.destroy()
    })
  )

  const pass = yield* Effect.cached(Effect.flatMap(Deferred.await(held), ([asked]) => passedOn(asked, target)))
  return {
    url: `http://127.0.0.1:${port}`,
    asked: Effect.asVoid(Deferred.await(held)),
    pass: Effect.asVoid(pass),
    answer: Effect.zipWith(Deferred.await(held), pass, ([, response], answer) => giveBack(answer, response))
  }
})
