import { Context, Effect, Layer, Logger, ManagedRuntime } from "effect"
import { HttpServer } from "effect/http"
import { NetAddress } from "effect/net"
import type { Tokens } from "../domain/Session.ts"
import { RpcRoutes } from "../http/RpcRoutes.ts"
import { HttpRoutes, layerServer, serve } from "../http/Server.ts"
import { SocketRoute } from "../http/SocketRoute.ts"
import * as Handlers from "../rpc/Handlers.ts"
import { Sessions } from "../services/Sessions.ts"
import type { SettingsOverrides } from "../services/Settings.ts"
import { Users } from "../services/Users.ts"
import { CatchUp } from "../ws/CatchUp.ts"
import { Commands } from "../ws/Commands.ts"
import { Gateway } from "../ws/Gateway.ts"
import { fakeServices } from "./FakeServices.ts"

export { fakeServices }

/**
 * The whole service in this process, as the network sees it: HTTP, WebSocket and RPC on a free port, everything in
 * memory. For tests of bots and front ends: it starts in milliseconds and needs nothing beside it.
 */
export class TestService extends Context.Service<
  TestService,
  {
    readonly url: string
    /** A new user, signed in. Asked again for a name, the same user with another session. */
    readonly signIn: (username: string) => Effect.Effect<Tokens>
  }
>()("chat/testing/TestService") {
  /** Also gives the fakes below it, so that a test can act behind the service's back. Made anew by each call. */
  static readonly layer = (overrides: SettingsOverrides = {}) =>
    Layer.effect(TestService, make).pipe(
      Layer.provideMerge(serve(Layer.mergeAll(HttpRoutes, SocketRoute, RpcRoutes))),
      Layer.provide(layerServer),
      Layer.provide(
        Gateway.layer.pipe(Layer.provide([CatchUp.layer, Commands.layer.pipe(Layer.provide(Handlers.layer))]))
      ),
      Layer.provideMerge(fakeServices(overrides)),
      Layer.provide(Logger.layer([]))
    )

  /** The same for those who do not use Effect. */
  static async start(overrides: SettingsOverrides = {}) {
    const runtime = ManagedRuntime.make(TestService.layer(overrides))
    const service = await runtime.runPromise(TestService)
    return {
      url: service.url,
      signIn: (username: string): Promise<Tokens> => runtime.runPromise(service.signIn(username)),
      stop: () => runtime.dispose()
    }
  }
}

const password = "correct horse"

const make = Effect.gen(function* () {
  const users = yield* Users
  const sessions = yield* Sessions
  const { address } = yield* HttpServer.HttpServer
  if (NetAddress.isUnixPathAddress(address)) return yield* Effect.die("a unix socket")
  const ip = "127.0.0.1"
  return TestService.of({
    url: `http://127.0.0.1:${address.port}`,
    signIn: (username) =>
      users.register({ username, password, displayName: username, email: `${username}@example.com`, ip }).pipe(
        Effect.catchTag("Conflict", () => Effect.void),
        Effect.andThen(sessions.login({ login: username, password, userAgent: "test", ip })),
        Effect.orDie
      )
  })
})
