import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { ByteSize, Context, Effect, Layer } from "effect"
import { HttpIncomingMessage, HttpRouter, HttpServer } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { NetAddress } from "effect/net"
import { Settings, SettingsError } from "../services/Settings.ts"
import { Api } from "./Api.ts"
import * as Authenticate from "./Authenticate.ts"
import * as Auth from "./AuthHandlers.ts"
import * as Block from "./BlockHandlers.ts"
import * as Conversation from "./ConversationHandlers.ts"
import * as Docs from "./Docs.ts"
import * as Draft from "./DraftHandlers.ts"
import * as Edge from "./Edge.ts"
import * as Invite from "./InviteHandlers.ts"
import * as JsonBodyCheck from "./JsonBodyCheck.ts"
import * as Member from "./MemberHandlers.ts"
import * as MessageChange from "./MessageChangeHandlers.ts"
import * as Message from "./MessageHandlers.ts"
import { makeNodeServer } from "./NodeServer.ts"
import * as Presence from "./PresenceHandlers.ts"
import * as RenderProblems from "./RenderProblems.ts"
import { routerConfig } from "./RouteTable.ts"
import * as Scheduled from "./ScheduledMessageHandlers.ts"
import * as Session from "./SessionHandlers.ts"
import * as System from "./SystemHandlers.ts"
import * as Thread from "./ThreadHandlers.ts"
import * as User from "./UserHandlers.ts"

/** Every route of `Api`, `/openapi.json` and `/docs`. */
export const HttpRoutes = Layer.mergeAll(
  HttpApiBuilder.layer(Api).pipe(
    Layer.provide([
      Auth.layer,
      Session.layer,
      User.layer,
      Block.layer,
      Conversation.layer,
      Member.layer,
      Invite.layer,
      Message.layer,
      MessageChange.layer,
      Thread.layer,
      Draft.layer,
      Scheduled.layer,
      Presence.layer,
      System.layer
    ]),
    Layer.provide([RenderProblems.layer, Authenticate.layer, JsonBodyCheck.layer])
  ),
  Docs.layer
)

/** Ends every connection of the server, of whatever kind and state. */
class Connections extends Context.Service<Connections, { readonly destroy: Effect.Effect<void> }>()(
  "chat/http/Connections"
) {}

const whyNot = (port: number, cause: unknown) => {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined
  switch (code) {
    case "EADDRINUSE":
      return `server.port: port ${port} is in use by another program; stop that one, or choose another port`
    case "EACCES":
      return `server.port: this user may not open port ${port}; choose one above 1023`
    default:
      return `server.port: cannot listen on port ${port} (${cause instanceof Error ? cause.message : String(cause)})`
  }
}

/** Listens on `server.port`, for HTTP and WebSocket. A port that cannot be had is a `SettingsError`. */
export const layerServer = Layer.unwrap(
  Effect.gen(function* () {
    const { limits, server: settings, timers } = yield* Settings
    const { destroyConnections, server } = makeNodeServer()
    const listen = NodeHttpServer.make(() => server, {
      port: settings.port,
      // Requests in flight get this long; sockets have been sent away before.
      gracefulShutdownTimeout: timers.drain,
      websocket: { maxPayload: Math.max(limits.frameBytes, limits.helloBytes) }
    })
    return Layer.mergeAll(
      Layer.effect(
        HttpServer.HttpServer,
        Effect.mapError(listen, ({ cause }) => new SettingsError({ message: whyNot(settings.port, cause) }))
      ),
      Layer.succeed(Connections, { destroy: Effect.sync(destroyConnections) }),
      NodeHttpServer.layerHttpServices
    )
  })
)

/** Connections that no grace has ended would keep the process: those that never asked, or never read the answer. */
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

/** Where the service is reached from this machine, as the log's first word to the outside. */
const layerListening = Layer.effectDiscard(
  Effect.gen(function* () {
    const { address } = yield* HttpServer.HttpServer
    if (NetAddress.isUnixPathAddress(address)) return
    yield* Effect.logInfo("listening", { url: `http://localhost:${address.port}`, port: address.port })
  })
)

/**
 * Serves routes on a server: `HttpRoutes`, and whatever else adds to the same `HttpRouter`, such as the WebSocket. What
 * the routes need stays to be provided.
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
    Layer.provide([layerLastResort, layerBodyLimit])
  )
