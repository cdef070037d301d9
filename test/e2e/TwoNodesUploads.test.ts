import { createHash, randomBytes } from "node:crypto"
import { connect } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { api } from "../support/Client.ts"
import { startNode } from "../support/Node.ts"
import { serversAreThere, startPostgres } from "../support/Servers.ts"
import { longTestTimeout } from "../support/TimeLimits.ts"

/** The size of a part, of which a node that is killed loses at most one. */
const part = 5 * 1024 * 1024

const tus = { "tus-resumable": "1.0.0" }

/** Sends a part of a file, and says that there is more of it. The connection is cut with the scope. */
const sendPart = (url: string, path: string, token: string, offset: number, rest: number, part: Uint8Array) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { hostname, port } = new URL(url)
      const socket = connect(Number(port), hostname)
      socket.on("error", () => {})
      const head = [
        `PATCH ${path} HTTP/1.1`,
        `host: ${hostname}`,
        `authorization: Bearer ${token}`,
        "tus-resumable: 1.0.0",
        "content-type: application/offset+octet-stream",
        `upload-offset: ${offset}`,
        `content-length: ${rest}`
      ]
      socket.write(`${head.join("\r\n")}\r\n\r\n`)
      socket.write(part)
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

describe.skipIf(!serversAreThere)("an upload to two nodes", () => {
  it.live(
    "that is cut every 7 MB, the next time at the other node, of which one is killed, is whole at the end",
    () =>
      Effect.gen(function* () {
        const { port } = yield* startPostgres
        const settings = {
          "postgres.host": "127.0.0.1",
          "postgres.port": port,
          "server.origin": "http://localhost:8080",
          "jwt.secret": "a secret for this test alone, 32 bytes or more"
        }
        const [a, b] = [yield* startNode(settings), yield* startNode(settings)]
        const ann = yield* api(a.url).register("ann")
        const bytes = randomBytes(25_000_000)
        const headers = { authorization: `Bearer ${ann.token}`, ...tus }
        const ask = (url: string, init: RequestInit) =>
          Effect.promise(() => fetch(url, { ...init, headers: { ...headers, ...init.headers } }))
        const metadata = { "upload-metadata": `filename ${btoa("film.bin")}` }
        const created = yield* ask(`${a.url}/v1/uploads`, {
          method: "POST",
          headers: { "upload-length": String(bytes.length), ...metadata }
        })
        assert.strictEqual(created.status, 201)
        const path = created.headers.get("location") ?? ""
        /** How far the node says that it is, once the last writer has let it go. */
        const offsetAt = (url: string) =>
          Effect.map(ask(url + path, { method: "HEAD" }), (answer) => Number(answer.headers.get("upload-offset")))

        const paced = Schedule.spaced(100)
        /** Sends 7 MB to a node, until one part of it is stored, and cuts the connection; `meanwhile` runs before that. */
        const round = (node: typeof a, meanwhile: Effect.Effect<unknown>) =>
          Effect.gen(function* () {
            const from = yield* offsetAt(b.url)
            yield* sendPart(
              node.url,
              path,
              ann.token,
              from,
              bytes.length - from,
              bytes.subarray(from, from + 7_000_000)
            )
            const isFurther = yield* Effect.map(offsetAt(b.url), (offset) => offset - from >= part).pipe(
              Effect.repeat({ until: (is) => is, times: 30, schedule: paced })
            )
            if (isFurther) yield* meanwhile
            return isFurther
          }).pipe(
            Effect.scoped,
            // Until the node has noticed the last cut, or the lease of a killed one is over, it is refused.
            Effect.repeat({ until: (isFurther) => isFurther })
          )
        yield* round(a, Effect.void)
        yield* round(b, Effect.void)
        yield* round(
          a,
          Effect.sync(() => a.kill("SIGKILL"))
        )
        const at = yield* offsetAt(b.url)
        assert.isAtLeast(at, 3 * part)
        assert.isAtMost(at, 3 * 7_000_000)

        const last = yield* Effect.gen(function* () {
          const offset = yield* offsetAt(b.url)
          return yield* ask(b.url + path, {
            method: "PATCH",
            headers: { "content-type": "application/offset+octet-stream", "upload-offset": String(offset) },
            body: bytes.subarray(offset)
          })
        }).pipe(
          // The killed node holds the upload for a few seconds.
          Effect.repeat({ while: ({ status }) => status === 423 || status === 409, schedule: paced })
        )
        assert.strictEqual(last.status, 204, yield* Effect.promise(() => last.text()))
        const id = last.headers.get("chat-attachment-id")
        const file = yield* ask(`${b.url}/v1/attachments/${id}`, {})
        assert.match(file.headers.get("content-disposition") ?? "", /film\.bin/)
        const content = new Uint8Array(yield* Effect.promise(() => file.arrayBuffer()))
        const hash = (content: Uint8Array) => createHash("sha256").update(content).digest("hex")
        assert.strictEqual(hash(content), hash(bytes))
      }).pipe(Effect.scoped),
    longTestTimeout
  )
})
