import { Effect, Layer } from "effect"
import { EventStreams } from "./http/EventStreams.ts"
import { MetricsRoute, MetricsServer } from "./http/MetricsServer.ts"
import { RpcRoutes } from "./http/RpcRoutes.ts"
import { HttpRoutes, layerServer, serve } from "./http/Server.ts"
import { SocketRoute } from "./http/SocketRoute.ts"
import * as Migrations from "./layers/Migrations.ts"
import * as NatsPubSub from "./layers/NatsPubSub.ts"
import * as Postgres from "./layers/Postgres.ts"
import * as PrometheusMetrics from "./layers/PrometheusMetrics.ts"
import { Redis } from "./layers/Redis.ts"
import * as RedisLimits from "./layers/RedisLimits.ts"
import * as RedisPresence from "./layers/RedisPresence.ts"
import * as Handlers from "./rpc/Handlers.ts"
import { AccessTokens } from "./services/AccessTokens.ts"
import { Accounts } from "./services/Accounts.ts"
import { Blocks } from "./services/Blocks.ts"
import { ConversationChanges } from "./services/ConversationChanges.ts"
import { Conversations } from "./services/Conversations.ts"
import { Drafts } from "./services/Drafts.ts"
import { Drain } from "./services/Drain.ts"
import { EventCursors } from "./services/EventCursors.ts"
import { Expiry, layerExpiry } from "./services/Expiry.ts"
import { Invites } from "./services/Invites.ts"
import { Limits } from "./services/Limits.ts"
import { Log } from "./services/Log.ts"
import { Members } from "./services/Members.ts"
import { MessageChanges } from "./services/MessageChanges.ts"
import { Messages } from "./services/Messages.ts"
import { Nodes } from "./services/Nodes.ts"
import { Passwords } from "./services/Passwords.ts"
import { Pins } from "./services/Pins.ts"
import { Polls } from "./services/Polls.ts"
import { Presence } from "./services/Presence.ts"
import * as Purge from "./services/Purge.ts"
import { Reactions } from "./services/Reactions.ts"
import { Readiness } from "./services/Readiness.ts"
import { layerScheduler, ScheduledMessages } from "./services/ScheduledMessages.ts"
import { Search } from "./services/Search.ts"
import * as SearchIndex from "./services/SearchIndex.ts"
import { Sessions } from "./services/Sessions.ts"
import { Settings } from "./services/Settings.ts"
import { Sync } from "./services/Sync.ts"
import { Threads } from "./services/Threads.ts"
import { Typing } from "./services/Typing.ts"
import { Users } from "./services/Users.ts"
import { CatchUp } from "./ws/CatchUp.ts"
import { Commands } from "./ws/Commands.ts"
import { Gateway } from "./ws/Gateway.ts"
import { Hub } from "./ws/Hub.ts"

/** A migrated PostgreSQL: the server of the settings, or the embedded one. */
export const Database = Migrations.layer.pipe(Layer.provideMerge(Postgres.layer))

/**
 * The bus of the settings, and what everything may ask: is this node ready, is it on its way out, is it in touch with
 * the others.
 */
const Common = Nodes.layer.pipe(
  Layer.provideMerge(Layer.merge(NatsPubSub.layer, Readiness.layer.pipe(Layer.provideMerge(Drain.layer))))
)

const WatchRedis = Layer.effectDiscard(
  Effect.gen(function* () {
    const readiness = yield* Readiness
    const redis = yield* Redis
    yield* readiness.watch({
      name: "redis",
      required: false,
      probe: redis.ping,
      without: "presence is what this node knows, limits are its own"
    })
  })
)

/** What may vanish: on the Redis of the settings, or else in this process. */
const Vanishing = Layer.unwrap(
  Effect.map(Settings, ({ redis }) =>
    redis === undefined
      ? Layer.mergeAll(Limits.layer, Presence.layer)
      : Layer.mergeAll(RedisLimits.layer, RedisPresence.layer, WatchRedis).pipe(Layer.provide(Redis.layer))
  )
)

/** What the product does, on its log, conversations, tokens and passwords, which tests swap. */
export const Services = Layer.mergeAll(
  Accounts.layer.pipe(Layer.provide([Members.layer, Sessions.layer])),
  Blocks.layer,
  Expiry.layer,
  Threads.layer,
  Polls.layer,
  ConversationChanges.layer,
  Invites.layer,
  Members.layer,
  MessageChanges.layer,
  Messages.layer,
  Pins.layer,
  Reactions.layer,
  ScheduledMessages.layer.pipe(Layer.provide(Messages.layer)),
  Search.layer,
  Sync.layer,
  Typing.layer,
  Users.layer,
  Sessions.layer
).pipe(Layer.provideMerge(Layer.merge(Drafts.layer, EventCursors.layer)))

/** What carries events to this node's sockets and streams. */
export const Realtime = Layer.mergeAll(Gateway.layer, EventStreams.layer).pipe(
  Layer.provide([CatchUp.layer, Commands.layer.pipe(Layer.provide(Handlers.layer))]),
  Layer.provideMerge(Hub.layer)
)

/** Above the server, so that it is the first to end: sockets are sent away while everything below still works. */
const DrainFirst = Layer.effectDiscard(
  Effect.gen(function* () {
    const gateway = yield* Gateway
    yield* Effect.addFinalizer(() => gateway.drain)
  })
)

/** What only runs beside. */
const Background = Layer.mergeAll(SearchIndex.layer, layerScheduler, layerExpiry, Purge.layer, MetricsServer)

/** Which program this is, in one line. */
const Announced = Layer.effectDiscard(
  Effect.gen(function* () {
    const { data, nats, postgres, redis } = yield* Settings
    yield* Effect.logInfo(nats === undefined ? "starting as a single node" : "starting as one of several nodes", {
      postgres: postgres === undefined ? `embedded, in ${data.dir}` : `${postgres.host}:${postgres.port}`,
      nats: nats === undefined ? "in-process" : "server",
      redis: redis === undefined ? "in-process" : `${redis.host}:${redis.port}`
    })
  })
)

/** The whole service: all rooms, composed. Needs `Settings` and what Node gives. */
export const App = DrainFirst.pipe(
  Layer.provide(serve(Layer.mergeAll(HttpRoutes, SocketRoute, RpcRoutes, MetricsRoute))),
  Layer.provide(Background),
  Layer.provide(layerServer),
  Layer.provide(Realtime),
  Layer.provide(Services),
  Layer.provide(Layer.mergeAll(Log.layer, Conversations.layer, AccessTokens.layer, Passwords.layer)),
  Layer.provide(Vanishing),
  Layer.provide(Common),
  Layer.provide(Database),
  Layer.provide(Announced),
  Layer.provide(PrometheusMetrics.layer)
)
