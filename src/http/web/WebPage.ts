import { Context, Effect, Layer } from "effect"
import { HttpRouter, type HttpServerRequest, HttpServerResponse } from "effect/http"
import { noPath } from "../../domain/Refusals.ts"
import { Blobs } from "../../services/files/Blobs.ts"
import { Settings } from "../../services/platform/Settings.ts"
import { isKnown } from "../edge/Conditional.ts"
import { buildPage, builtFolder, canBuild, isStale } from "./WebBuild.ts"
import { formOf, readWebFiles, type WebFile, type WebFiles } from "./WebFiles.ts"

/**
 * The page that people chat on. `state` says how it is at the start: `off` by the setting, `missing` when it is not built
 * and cannot be built here, `building` while the background does that.
 */
export class WebPage extends Context.Service<
  WebPage,
  {
    readonly state: "off" | "missing" | "building" | "ready"
    /** The file at a path, such as `/index.html`; undefined when there is none, or no page. */
    readonly file: (path: string) => WebFile | undefined
  }
>()("chat/http/WebPage") {
  /** Reads the page of `server.web`, and builds that of this release in the background when it is missing or stale. */
  static readonly layer = Layer.effect(
    WebPage,
    Effect.gen(function* () {
      const { web } = (yield* Settings).server
      if (web === false) return { state: "off", file: () => undefined }
      const folder = web === true ? builtFolder : web
      const read = Effect.promise(() => readWebFiles(folder))
      let files: WebFiles | undefined = yield* read
      const stale = web === true && canBuild() && (yield* Effect.promise(isStale))
      if (stale) {
        yield* buildPage.pipe(
          Effect.andThen(Effect.logInfo("the chat page is built")),
          Effect.catchTag("BuildFailed", ({ message }) =>
            Effect.logWarning("the chat page could not be built", { reason: message })
          ),
          // Another node that shares the folder may have built it.
          Effect.andThen(read),
          Effect.tap((built) =>
            Effect.sync(() => {
              files = built
            })
          ),
          Effect.forkScoped
        )
      }
      return {
        state: files !== undefined ? "ready" : stale ? "building" : "missing",
        file: (path) => files?.get(path)
      }
    })
  )
}

/**
 * Everything comes from the service itself, and files from their store if that gives them to clients. No markup can run
 * anything, and no script can make markup of text.
 */
const contentSecurityPolicy = (store: string) =>
  [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    `img-src 'self' data: blob:${store}`,
    `media-src 'self' blob:${store}`,
    "font-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "worker-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types service-worker"
  ].join("; ")

/**
 * Makes what gives the policy, with the origin of the store if that gives files to clients. A store that has no credentials
 * yet does not say it, and is asked again for the next answer.
 */
const makePolicy = Effect.map(Blobs, ({ presign }) => {
  const own = contentSecurityPolicy("")
  if (presign === undefined) return Effect.succeed(own)
  let known: string | undefined
  const ask = presign("none", { "content-type": "text/plain", "content-disposition": "attachment" }).pipe(
    Effect.map((url) => {
      known = contentSecurityPolicy(` ${new URL(url).origin}`)
      return known
    }),
    Effect.orElseSucceed(() => own)
  )
  return Effect.suspend(() => (known === undefined ? ask : Effect.succeed(known)))
})

const answer = (file: WebFile, policy: string, { headers }: HttpServerRequest.HttpServerRequest) => {
  const { body, encoding } = formOf(file, headers["accept-encoding"] ?? "")
  const etag = `"${file.etag}-${encoding}"`
  const shared = {
    etag,
    vary: "accept-encoding",
    "cache-control": file.immutable ? "public, max-age=31536000, immutable" : "no-cache",
    "content-security-policy": policy,
    "cross-origin-opener-policy": "same-origin"
  }
  if (isKnown(headers, etag)) return HttpServerResponse.empty({ status: 304, headers: shared })
  return HttpServerResponse.uint8Array(body, {
    contentType: file.contentType,
    headers: { ...shared, ...(encoding !== "identity" && { "content-encoding": encoding }) }
  })
}

const pathOf = ({ url }: HttpServerRequest.HttpServerRequest) => url.split("?", 1)[0] ?? ""

/**
 * Serves the page at `/`, and the widget for other pages at `/docs/embed`. Without one, the address of the service leads to
 * what can be read about it.
 */
export const layer = Layer.unwrap(
  Effect.gen(function* () {
    const { file } = yield* WebPage
    const policy = yield* makePolicy
    const give = (file: WebFile, request: HttpServerRequest.HttpServerRequest) =>
      Effect.map(policy, (policy) => answer(file, policy, request))
    const serve = (path: `/${string}`, name?: string) =>
      HttpRouter.add("GET", path, (request) => {
        const found = file(name ?? pathOf(request))
        return found === undefined ? Effect.fail(noPath) : give(found, request)
      })
    const root = HttpRouter.add("GET", "/", (request) => {
      const index = file("/index.html")
      return index === undefined
        ? Effect.succeed(HttpServerResponse.redirect("/docs", { status: 302 }))
        : give(index, request)
    })
    return Layer.mergeAll(
      root,
      serve("/docs/embed", "/embed.html"),
      serve("/assets/:name"),
      serve("/manifest.webmanifest"),
      serve("/service-worker.js")
    )
  })
)
