import { Context, Effect, Layer, Logger, References, Schema } from "effect"
import { HttpServer } from "effect/http"
import { NetAddress } from "effect/net"
import { Realtime, Services } from "../../src/App.ts"
import type { Unavailable } from "../../src/domain/Problem.ts"
import { HttpRoutes, layerServer, serve } from "../../src/http/server/Server.ts"
import { SocketRoute } from "../../src/http/server/SocketRoute.ts"
import { makeLogger } from "../../src/layers/telemetry/Logging.ts"
import { RpcRoutes } from "../../src/rpc/RpcRoutes.ts"
import { Nodes } from "../../src/services/bus/Nodes.ts"
import { PubSub } from "../../src/services/bus/PubSub.ts"
import type { Published, Subject } from "../../src/services/bus/Subjects.ts"
import { Conversations } from "../../src/services/conversations/Conversations.ts"
import * as ConversationsSql from "../../src/services/conversations/ConversationsSql.ts"
import { Images } from "../../src/services/files/Images.ts"
import { AccessTokens } from "../../src/services/identity/AccessTokens.ts"
import { ExternalTokens } from "../../src/services/identity/issuers/ExternalTokens.ts"
import { ChangeFeed } from "../../src/services/log/ChangeFeed.ts"
import { Log } from "../../src/services/log/Log.ts"
import * as LogSql from "../../src/services/log/LogSql.ts"
import { StreamPositions } from "../../src/services/log/StreamPositions.ts"
import { Limits } from "../../src/services/platform/Limits.ts"
import { AddressLimit } from "../../src/services/platform/load/AddressLimit.ts"
import { HeavyReads } from "../../src/services/platform/load/HeavyReads.ts"
import { Drain } from "../../src/services/platform/readiness/Drain.ts"
import { Readiness } from "../../src/services/platform/readiness/Readiness.ts"
import * as Presence from "../../src/services/presence/layer.ts"
import * as BlobsMemory from "../../src/testing/memory/Blobs.ts"
import * as PasswordsMemory from "../../src/testing/memory/Passwords.ts"
import type { SettingsOverrides } from "../../src/testing/memory/Settings.ts"
import * as SettingsMemory from "../../src/testing/memory/Settings.ts"
import { Database } from "./Database.ts"

type Hand = (events: ReadonlyArray<Published>) => void

/** The bus between the services and the hub. A test can make it lose, swap or repeat events. */
export class Wire extends Context.Service<
  Wire,
  {
    /** Receives the published events, and delivers those that it chooses. */
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

/** Lets tests delay reads of the services, or make them fail or die. */
export class Gate extends Context.Service<Gate, { memberships: Wait; heads: Wait }>()("chat/test/Gate") {
  static readonly layer = Layer.sync(Gate, () => ({ memberships: Effect.void, heads: Effect.void }))
}

const gated = Layer.mergeAll(
  Layer.effect(
    Conversations,
    Effect.gen(function* () {
      const gate = yield* Gate
      const inner = yield* Conversations
      return Conversations.of({
        ...inner,
        memberships: (userId) => Effect.suspend(() => Effect.andThen(gate.memberships, inner.memberships(userId)))
      })
    })
  ).pipe(Layer.provide(ConversationsSql.layer)),
  Layer.effect(
    Log,
    Effect.gen(function* () {
      const gate = yield* Gate
      const inner = yield* Log
      return Log.of({ ...inner, heads: (ids) => Effect.suspend(() => Effect.andThen(gate.heads, inner.heads(ids))) })
    })
  ).pipe(Layer.provide(LogSql.layer)),
  Layer.effect(ChangeFeed, ChangeFeed.use(Effect.succeed)).pipe(Layer.provide(LogSql.layer)),
  StreamPositions.layer
).pipe(Layer.provideMerge(Gate.layer))

/** The service in this process as its network clients see it, and its log. */
export class Service extends Context.Service<
  Service,
  { readonly url: string; readonly log: ReadonlyArray<Record<string, unknown>> }
>()("chat/test/Service") {}

const decodeLine = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)))

/** Limits so high that only tests of limits reach them. */
const generous = {
  registrationsPerMinuteAddress: 100_000,
  requestsPerMinute: 1_000_000,
  conversationsPerMinute: 100_000,
  firstContactsPerDay: 1_000_000,
  additionsPerHour: 1_000_000,
  addressRequestsPerSecond: 1_000_000,
  addressRequestsBurst: 1_000_000,
  commandsPerSecond: 10_000,
  commandsBurst: 10_000,
  commandsInFlight: 1000
}

/** Files in memory, and nothing that decodes pictures. */
const files = Layer.merge(BlobsMemory.layerMemory, Images.layerNone)

/** The whole gateway with all services, on a new database and with a bus that tests can break. */
export const gatewayService = (overrides: SettingsOverrides = {}) => {
  const log: Array<Record<string, unknown>> = []
  const services = Layer.merge(Services, Readiness.layer).pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        gated,
        Presence.layer,
        AccessTokens.layer,
        ExternalTokens.layer,
        PasswordsMemory.layerMemory,
        files
      )
    ),
    Layer.provideMerge(
      Layer.mergeAll(
        Nodes.layerAlone.pipe(Layer.provideMerge(wiredPubSub)),
        Drain.layer,
        HeavyReads.layer,
        AddressLimit.layer,
        Limits.layer
      )
    ),
    Layer.provideMerge(
      SettingsMemory.layerMemory({
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
