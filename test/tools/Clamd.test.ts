import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import { describe } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as ScannerLayer from "../../src/layers/scanner/layer.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"
import { scannerContract } from "../contract/files/Scanner.contract.ts"
import { virus } from "../support/Scanners.ts"
import { freePort, makeServer, temporaryDirectory } from "../support/Servers.ts"

const program = "/usr/sbin/clamd"
const isThere = existsSync(program)

const pings = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("zPING\0"))
    socket.on("data", (answer) => resolve(String(answer).startsWith("PONG")))
    socket.on("error", () => resolve(false))
  })

/** Starts clamd with a database of one signature. */
const startClamd = Effect.gen(function* () {
  const port = yield* freePort
  const root = yield* temporaryDirectory("clamd")
  const [configuration, database] = [join(root, "clamd.conf"), join(root, "db")]
  mkdirSync(database)
  writeFileSync(join(database, "chat.ndb"), `${virus.name}:0:*:${virus.bytes.toString("hex")}\n`)
  writeFileSync(
    configuration,
    `Foreground yes
DatabaseDirectory ${database}
LocalSocket ${join(root, "socket")}
TCPSocket ${port}
TCPAddr 127.0.0.1
`
  )
  yield* makeServer({ name: "clamd", port, command: program, args: ["-c", configuration], answers: () => pings(port) })
  return { port, socket: join(root, "socket") }
})

const at = (urlOf: (clamd: Effect.Success<typeof startClamd>) => string) =>
  Layer.unwrap(
    Effect.map(startClamd, (clamd) =>
      ScannerLayer.layer.pipe(Layer.provide(SettingsMemory.layerMemory({ files: { scanner: urlOf(clamd) } })))
    )
  )

describe.skipIf(!isThere)(`clamd of Debian${isThere ? "" : " (apt: clamav-daemon)"}`, () => {
  describe("over TCP", () => scannerContract(at(({ port }) => `tcp://127.0.0.1:${port}`)))
  describe("at its socket", () => scannerContract(at(({ socket }) => `unix:${socket}`)))
})
