import { Context, Effect, Layer, Logger, References, Schema } from "effect"
import { HttpServer } from "effect/http"
import { NetAddress } from "effect/net"
import { Realtime, Services } from "../../src/App.ts"
import type { Unavailable } from "../../src/domain/Problem.ts"
import { RpcRoutes } from "../../src/http/RpcRoutes.ts"
import { HttpRoutes, layerServer, serve } from "../../src/http/Server.ts"
import { SocketRoute } from "../../src/http/SocketRoute.ts"
import { makeLogger } from "../../src/layers/Logging.ts"
import { AccessTokens } from "../../src/services/AccessTokens.ts"
import { Conversations } from "../../src/services/Conversations.ts"
import { Drain } from "../../src/services/Drain.ts"
import { Limits } from "../../src/services/Limits.ts"
import { Log } from "../../src/services/Log.ts"
import { Nodes } from "../../src/services/Nodes.ts"
import { Passwords } from "../../src/services/Passwords.ts"
import { Presence } from "../../src/services/Presence.ts"
import { type Published, PubSub, type Subject } from "../../src/services/PubSub.ts"
import { Readiness } from "../../src/services/Readiness.ts"
import { Settings, type SettingsOverrides } from "../../src/services/Settings.ts"
import { Database } from "./Database.ts"

type Hand = (events: ReadonlyArray<Published>) => void

/** The bus between the services and the hub, which a test can make lose, swap or repeat what it carries. */
export class Wire extends Context.Service<
  Wire,
  {
    /** Gets what is published, and hands on what it likes. */
    carry: (subject: Subject, events: ReadonlyArray<Published>, hand: Hand) => void
  }
>()("chat/test/Wire") {
  static readonly healthy = (_subject: Subject, events: ReadonlyArray<Published>, hand: Hand) => hand(events)
  static readonly layer = Layer.sync(Wire, () => ({ carry: Wire.healthy }))
}

const wiredPubSub = Layer.effect(
  PubSub,
  Effect.gen(function* () {
    const wire = yield* Wire
    const inner = yield* PubSub
    const publish = Effect.runForkWith(yield* Effect.context<never>())
    return PubSub.of({
      ...inner,
      publish: (subject, events) =>
        Effect.sync(() => wire.carry(subject, events, (handed) => publish(inner.publish(subject, handed))))
    })
  })
).pipe(Layer.provide(PubSub.layer), Layer.provideMerge(Wire.layer))

type Wait = Effect.Effect<void, Unavailable>

/** Where reads of the services can be made to wait, to fail or to die. */
export class Gate extends Context.Service<Gate, { places: Wait; heads: Wait }>()("chat/test/Gate") {
  static readonly layer = Layer.sync(Gate, () => ({ places: Effect.void, heads: Effect.void }))
}

const gated = Layer.mergeAll(
  Layer.effect(
    Conversations,
    Effect.gen(function* () {
      const gate = yield* Gate
      const inner = yield* Conversations
      return Conversations.of({
        ...inner,
        places: (userId) => Effect.suspend(() => Effect.andThen(gate.places, inner.places(userId)))
      })
    })
  ).pipe(Layer.provide(Conversations.layer)),
  Layer.effect(
    Log,
    Effect.gen(function* () {
      const gate = yield* Gate
      const inner = yield* Log
      return Log.of({ ...inner, heads: (ids) => Effect.suspend(() => Effect.andThen(gate.heads, inner.heads(ids))) })
    })
  ).pipe(Layer.provide(Log.layer))
).pipe(Layer.provideMerge(Gate.layer))

/** The service in this process, as the network sees it, and what it has logged. */
export class Service extends Context.Service<
  Service,
  { readonly url: string; readonly log: ReadonlyArray<Record<string, unknown>> }
>()("chat/test/Service") {}

const decodeLine = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)))

/** Limits that no test of something else runs into. */
const generous = {
  registrationsPerMinuteAddress: 100_000,
  requestsPerMinute: 1_000_000,
  commandsPerSecond: 10_000,
  commandsBurst: 10_000,
  commandsInFlight: 1000
}

/** The whole gateway with all services, on a database of its own and with a bus that tests can break. */
export const gatewayService = (overrides: SettingsOverrides = {}) => {
  const log: Array<Record<string, unknown>> = []
  const services = Layer.merge(Services, Readiness.layer).pipe(
    Layer.provideMerge(Layer.mergeAll(gated, Limits.layer, Presence.layer, AccessTokens.layer, Passwords.layerTest)),
    Layer.provideMerge(Layer.merge(Nodes.layerAlone.pipe(Layer.provideMerge(wiredPubSub)), Drain.layer)),
    Layer.provideMerge(
      Settings.layerTest({
        ...overrides,
        server: { port: 0, ...overrides.server },
        limits: { ...generous, ...overrides.limits }
      })
    ),
    Layer.provideMerge(Database.embedded)
  )
  const address = Layer.effect(
    Service,
    Effect.gen(function* () {
      const { address } = yield* HttpServer.HttpServer
      if (NetAddress.isUnixPathAddress(address)) return yield* Effect.die("a unix socket")
      return Service.of({ url: `http://127.0.0.1:${address.port}`, log })
    })
  )
  return address.pipe(
    Layer.provideMerge(serve(Layer.mergeAll(HttpRoutes, SocketRoute, RpcRoutes))),
    Layer.provide(layerServer),
    Layer.provideMerge(Realtime),
    Layer.provideMerge(services),
    Layer.provide(Logger.layer([makeLogger("json", (line) => log.push(decodeLine(line)))])),
    Layer.provide(Layer.succeed(References.MinimumLogLevel, "Debug"))
  )
}
