import { createServer } from "node:net"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { ByteSize, Context, Effect, Layer } from "effect"
import { HttpIncomingMessage, HttpRouter, HttpServer } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { NetAddress } from "effect/net"
import { Api } from "../../operations/Api.ts"
import * as Handlers from "../../operations/Handlers.ts"
import { clientFieldOf } from "../../services/platform/Address.ts"
import { limitHits } from "../../services/platform/MetricDefinitions.ts"
import { Metrics } from "../../services/platform/Metrics.ts"
import { Settings, SettingsError, type SettingsShape } from "../../services/platform/Settings.ts"
import { makeThrottledLog } from "../../services/platform/ThrottledLog.ts"
import * as Bridge from "../Bridge.ts"
import * as Docs from "../documents/Docs.ts"
import * as Authenticate from "../edge/Authenticate.ts"
import * as Edge from "../edge/Edge.ts"
import * as JsonBodyCheck from "../edge/JsonBodyCheck.ts"
import * as RenderProblems from "../edge/RenderProblems.ts"
import { routerConfig } from "../edge/RouteTable.ts"
import { AttachmentRoutes } from "../files/AttachmentRoutes.ts"
import { AvatarRoutes } from "../files/AvatarRoutes.ts"
import { ResumableUploadRoutes } from "../files/ResumableUploadRoutes.ts"
import * as System from "../SystemHandlers.ts"
import { WebPage, layer as webLayer } from "../web/WebPage.ts"
import { makeNodeServer } from "./NodeServer.ts"

/** Serves every route of `Api`, the documents and their pages, and the chat page. */
export const HttpRoutes = Layer.mergeAll(
  HttpApiBuilder.layer(Api).pipe(
    Layer.provide([Bridge.layer.pipe(Layer.provide(Handlers.layer)), System.layer]),
    Layer.provide([RenderProblems.layer, Authenticate.layer, JsonBodyCheck.layer])
  ),
  AttachmentRoutes,
  ResumableUploadRoutes,
  AvatarRoutes,
  Layer.unwrap(Effect.map(Settings, ({ server }) => Docs.layer(server.origin))),
  webLayer
)

/** Ends every connection of the server, of whatever kind and state. */
class Connections extends Context.Service<Connections, { readonly destroy: Effect.Effect<void> }>()(
  "chat/http/Connections"
) {}

type ServerSettings = SettingsShape["server"]

const whyNot = ({ host, port }: ServerSettings, cause: unknown) => {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  switch (code) {
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return `server.host: this machine has no address ${host}; correct the key, or leave it out to listen on all of them`
    case "EADDRINUSE":
      return `server.port: port ${port} is in use by another program; stop that one, or choose another port`
    case "EACCES":
      return `server.port: this user may not open port ${port}; choose one above 1023`
    default:
      return `server.port: cannot listen on port ${port} (${cause instanceof Error ? cause.message : String(cause)})`
  }
}

/** Where to listen, as Node takes it. */
const listenOptions = ({ host, port }: ServerSettings) => ({ port, ...(host !== undefined && { host }) })

/**
 * Fails with a `SettingsError` if `server.port` cannot be had now. It is built before everything that takes time, so that a
 * port in use is reported at once.
 */
export const layerPortCheck = Layer.effectDiscard(
  Effect.gen(function* () {
    const { server } = yield* Settings
    if (server.port === 0) return
    yield* Effect.callback<void, SettingsError>((resume) => {
      // A client that comes now would otherwise wait for an answer from nobody.
      const attempt = createServer((socket) => socket.destroy())
      attempt.once("error", (cause) => resume(Effect.fail(new SettingsError({ message: whyNot(server, cause) }))))
      attempt.listen(listenOptions(server), () => attempt.close(() => resume(Effect.void)))
    })
  })
)

/** Makes the function that counts the addresses that are shut out, and logs one a minute. */
const makeShutOut = Effect.fnUntraced(function* ({ logging }: SettingsShape) {
  const count = (yield* Metrics).counter(limitHits, { limit: "shut-out" })
  const throttled = yield* makeThrottledLog
  const clientField = clientFieldOf(logging)
  const log = throttled((address: string) =>
    Effect.logWarning(
      "an address cannot connect for 10 s, because it goes on sending what is not served: a proxy belongs into server.trusted_proxies",
      clientField(address)
    )
  )
  return (address: string) => {
    count()
    log(address)
  }
})

/** Listens on `server.port` for HTTP and WebSocket. A port that cannot be opened is a `SettingsError`. */
export const layerServer = Layer.unwrap(
  Effect.gen(function* () {
    const all = yield* Settings
    const { server: settings, timers } = all
    const { destroyConnections, server } = makeNodeServer(all, yield* makeShutOut(all))
    const listen = NodeHttpServer.make(() => server, {
      ...listenOptions(settings),
      // Requests in flight get this much time. Sockets have been closed before.
      gracefulShutdownTimeout: timers.drain
    })
    return Layer.mergeAll(
      Layer.effect(
        HttpServer.HttpServer,
        Effect.mapError(listen, ({ cause }) => new SettingsError({ message: whyNot(settings, cause) }))
      ),
      Layer.succeed(Connections, { destroy: Effect.sync(destroyConnections) }),
      NodeHttpServer.layerHttpServices
    )
  })
)

/**
 * Ends the connections that are still open after the grace period, which would keep the process alive: clients that
 * never sent a request, or never read the answer.
 */
const layerLastResort = Layer.effectDiscard(
  Effect.gen(function* () {
    const { destroy } = yield* Connections
    yield* Effect.addFinalizer(() => destroy)
  })
)

const layerBodyLimit = Layer.effect(
  HttpIncomingMessage.MaxBodySize,
  Effect.map(Settings, ({ limits }) => ByteSize.bytes(limits.requestBytes))
)

/** The host of a URL that works on this machine. */
const nameOf = (host: string | undefined) =>
  host === undefined || host === "0.0.0.0" || host === "::" ? "localhost" : host.includes(":") ? `[${host}]` : host

/** Why `/` shows no chat page, but leads to `/docs`. */
const withoutPage = {
  off: "the chat page is off (server.web)",
  missing: "the chat page is not built (npm run build:web)",
  building: "the chat page is being built"
}

/** Logs the URL under which this machine reaches the service, and in the last line of a start what a person can open. */
const layerListening = Layer.effectDiscard(
  Effect.gen(function* () {
    const { address } = yield* HttpServer.HttpServer
    if (NetAddress.isUnixPathAddress(address)) return
    const url = `http://${nameOf((yield* Settings).server.host)}:${address.port}`
    yield* Effect.logInfo("listening", { url, port: address.port })
    const { state } = yield* WebPage
    yield* Effect.logInfo(
      state === "ready"
        ? `open ${url} to chat, and ${url}/docs to read about the API and to try it`
        : `open ${url}/docs to read about the API and to try it; ${withoutPage[state]}`
    )
  })
)

/**
 * Serves routes on a server: `HttpRoutes`, and all others that are added to the same `HttpRouter`, such as the WebSocket.
 * The caller provides what the routes need.
 */
export const serve = <A, E, R>(routes: Layer.Layer<A, E, R>) =>
  layerListening.pipe(
    Layer.provideMerge(
      HttpRouter.serve(Layer.provide(routes, Edge.layer), {
        routerConfig,
        disableLogger: true,
        disableListenLog: true
      })
    ),
    Layer.provide([layerLastResort, layerBodyLimit, WebPage.layer])
  )
