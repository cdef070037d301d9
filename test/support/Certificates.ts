import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"

const host = "127.0.0.1"

/** A certificate for 127.0.0.1 and localhost that its own authority has signed, as PEM files; removed with the scope. */
export const makeCertificate = Effect.gen(function* () {
  const directory = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "chat-test-tls-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
  )
  const [cert, key] = [join(directory, "cert.pem"), join(directory, "key.pem")]
  const options = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
  const names = ["-subj", `/CN=${host}`, "-addext", `subjectAltName=IP:${host},DNS:localhost`]
  execFileSync("openssl", ["req", ...options, ...names, "-keyout", key, "-out", cert], { stdio: "ignore" })
  return { ca: cert, cert, key }
})
