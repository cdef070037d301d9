import { createHash } from "node:crypto"
import { promisify } from "node:util"
import { brotliCompress, constants, gzip } from "node:zlib"
import { Effect, type Types } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { isKnown } from "../edge/Conditional.ts"

const forms = {
  br: (body: Uint8Array) => promisify(brotliCompress)(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } }),
  gzip: (body: Uint8Array) => promisify(gzip)(body)
}

/** An encoding of a body that we serve. */
export type Encoding = keyof typeof forms | "identity"

const refuses = (accepted: string, encoding: string) =>
  new RegExp(`\\b${encoding}\\s*;\\s*q=0(\\.0*)?\\s*(,|$)`).test(accepted)

/** The best encoding that a client accepts. */
export const encodingFor = (accepted: string): Encoding => {
  for (const encoding of ["br", "gzip"] as const)
    if (new RegExp(`\\b${encoding}\\b`).test(accepted) && !refuses(accepted, encoding)) return encoding
  return "identity"
}

/** Compresses an answer in each encoding once, and makes the function that answers each request from these. */
const prepare = Effect.fnUntraced(function* (response: HttpServerResponse.HttpServerResponse) {
  if (response.body._tag !== "Uint8Array") return yield* Effect.die(new Error("a document is bytes"))
  const { body, contentType } = response.body
  const bodies: Record<Encoding, Uint8Array> = {
    identity: body,
    br: yield* Effect.promise(() => forms.br(body)),
    gzip: yield* Effect.promise(() => forms.gzip(body))
  }
  const { "content-length": _length, "content-type": _type, ...own } = response.headers
  const hash = createHash("sha256").update(body).digest("base64url").slice(0, 22)

  return ({ headers }: HttpServerRequest.HttpServerRequest): HttpServerResponse.HttpServerResponse => {
    const encoding = encodingFor(headers["accept-encoding"] ?? "")
    const etag = `"${hash}-${encoding}"`
    const shared = { ...own, etag, vary: "accept-encoding", "cache-control": "public, max-age=60" }
    if (isKnown(headers, etag)) return HttpServerResponse.empty({ status: 304, headers: shared })
    return HttpServerResponse.uint8Array(bodies[encoding], {
      contentType,
      headers: { ...shared, ...(encoding !== "identity" && { "content-encoding": encoding }) }
    })
  }
})

/**
 * Serves documents that never change while the process runs: the route is asked once, and what it answers is kept
 * compressed. Clients that have it are answered with 304.
 */
export const compressed = HttpRouter.middleware(
  Effect.sync(() => {
    const documents = new Map<string, Effect.Effect<Effect.Success<ReturnType<typeof prepare>>, Types.unhandled>>()
    return (route) =>
      Effect.gen(function* () {
        const request = yield* HttpServerRequest.HttpServerRequest
        // The route's own path: a URL can spell it in many ways, and each spelling would be kept.
        const { path } = (yield* HttpRouter.RouteContext).route
        const known = documents.get(path) ?? (yield* Effect.cached(Effect.flatMap(route, prepare)))
        documents.set(path, known)
        return (yield* known)(request)
      })
  })
).layer
