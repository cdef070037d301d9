import { Context, Effect, Layer, Logger, ManagedRuntime } from "effect"
import { HttpServer } from "effect/http"
import { NetAddress } from "effect/net"
import type { Tokens } from "../domain/Session.ts"
import { HttpRoutes, layerServer, serve } from "../http/server/Server.ts"
import { SocketRoute } from "../http/server/SocketRoute.ts"
import { RpcRoutes } from "../rpc/RpcRoutes.ts"
import { Sessions } from "../services/identity/Sessions.ts"
import { Users } from "../services/identity/Users.ts"
import * as Sockets from "../ws/layer.ts"
import { fakeServices } from "./FakeServices.ts"
import type { SettingsOverrides } from "./memory/Settings.ts"

export { TestIssuer } from "./TestIssuer.ts"
export { fakeServices }

type FakeServices = Layer.Success<ReturnType<typeof fakeServices>>

const replacing = <Services, E>(replace: Layer.Layer<Services, E, FakeServices>, overrides: SettingsOverrides) =>
  Layer.provideMerge(replace, fakeServices(overrides))

/**
 * The whole service in this process, as the network sees it: HTTP, WebSocket and RPC on a free port, everything in
 * memory. It is meant for the tests of bots and front ends: it starts in milliseconds and needs no other program.
 */
export class TestService extends Context.Service<
  TestService,
  {
    readonly url: string
    /** Signs in as a new user. Repeating it for the same name begins another session of the same user. */
    readonly signIn: (username: string) => Effect.Effect<Tokens>
  }
>()("chat/testing/TestService") {
  /**
   * Also provides the fakes on which the service runs, so that a test can change data without a request. Each call makes
   * a new service. What `replace` provides is used by HTTP, WebSocket and RPC in place of the fakes, which it can build on.
   */
  static readonly layer = <Services = never, E = never>(
    overrides: SettingsOverrides = {},
    { replace }: { readonly replace?: Layer.Layer<Services, E, FakeServices> | undefined } = {}
  ) =>
    Layer.effect(TestService, make).pipe(
      Layer.provideMerge(serve(Layer.mergeAll(HttpRoutes, SocketRoute, RpcRoutes))),
      Layer.provide(layerServer),
      Layer.provide(Sockets.layer),
      Layer.provideMerge(replace === undefined ? fakeServices(overrides) : replacing(replace, overrides)),
      Layer.provide(Logger.layer([]))
    )

  /** Starts the service for tests that do not use Effect. `stop` ends it. */
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
