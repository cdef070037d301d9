import { Effect, Layer } from "effect"
import * as Http from "./http/server/layer.ts"
import { MetricsServer } from "./http/server/MetricsServer.ts"
import { layerPortCheck, layerServer } from "./http/server/Server.ts"
import * as Files from "./layers/blobs/layer.ts"
import * as ImageProcess from "./layers/images/ImageProcess.ts"
import * as NatsPubSub from "./layers/nats/NatsPubSub.ts"
import * as Database from "./layers/postgres/layer.ts"
import { addressesOf, showAddress } from "./layers/postgres/PostgresConfig.ts"
import * as Volatile from "./layers/redis/layer.ts"
import * as Scanner from "./layers/scanner/layer.ts"
import { isPublished } from "./layers/settings/SigningKey.ts"
import * as PrometheusMetrics from "./layers/telemetry/PrometheusMetrics.ts"
import * as EventDelivery from "./realtime/layer.ts"
import { RpcRoutes } from "./rpc/RpcRoutes.ts"
import * as Admin from "./services/admin/layer.ts"
import * as Bus from "./services/bus/layer.ts"
import * as Conversations from "./services/conversations/layer.ts"
import * as Attachments from "./services/files/layer.ts"
import * as Identity from "./services/identity/layer.ts"
import * as Log from "./services/log/layer.ts"
import * as Messages from "./services/messages/layer.ts"
import { Limits } from "./services/platform/Limits.ts"
import * as Platform from "./services/platform/layer.ts"
import * as Shedding from "./services/platform/load/Shedding.ts"
import { Settings } from "./services/platform/Settings.ts"
import * as Presence from "./services/presence/layer.ts"
import * as Sockets from "./ws/layer.ts"

/** The bus of the settings, and the state of this node: whether it is ready, draining, and in touch with other nodes. */
const Common = Files.layerWatch.pipe(
  Layer.provideMerge(Bus.layer),
  Layer.provideMerge(Layer.merge(NatsPubSub.layer, Platform.layer)),
  Layer.provideMerge(Layer.mergeAll(Files.layer, ImageProcess.layer, Scanner.layer))
)

/** The services that need the log, conversations, tokens and passwords, for which tests provide fakes. */
export const Services = Layer.mergeAll(Admin.layer, Presence.layerTyping).pipe(
  Layer.provideMerge(Conversations.layerNoDeps),
  Layer.provideMerge(Layer.merge(Identity.layerNoDeps, Messages.layer)),
  Layer.provideMerge(Attachments.layer)
)

/** Delivers events to the sockets and streams of this node. */
export const Realtime = Sockets.layer.pipe(Layer.provideMerge(EventDelivery.layer))

/** Background work, and the separate server for metrics. */
const Background = Layer.mergeAll(
  Conversations.background,
  Messages.background,
  Attachments.background,
  Platform.background,
  MetricsServer
)

/** Logs one line with the dependencies of this node, and a warning when anybody can sign its tokens. */
const Announced = Layer.effectDiscard(
  Effect.gen(function* () {
    const { data, jwt, nats, postgres, redis } = yield* Settings
    if (jwt.secret !== undefined && isPublished(jwt.secret)) {
      yield* Effect.logWarning(
        "jwt.secret is the published sample key: whoever reaches this node over the network can sign in as anybody"
      )
    }
    const nodes = nats === undefined ? "starting as a single node" : "starting as one of several nodes"
    yield* Effect.logInfo(postgres === undefined ? `${nodes} with the embedded PostgreSQL` : nodes, {
      postgres: postgres === undefined ? `embedded, in ${data.dir}` : addressesOf(postgres).map(showAddress).join(", "),
      nats: nats === undefined ? "in-process" : "server",
      redis: redis === undefined ? "in-process" : `${redis.host}:${redis.port}`
    })
  })
)

/** What the commands of operators need: the services without a node that serves them. They tell the nodes over the bus. */
export const Operator = Services.pipe(
  Layer.provide(Layer.mergeAll(Log.layer, Conversations.layerConversations, Identity.layerCredentials)),
  Layer.provide(Limits.layer),
  Layer.provide(
    Layer.provideMerge(
      Bus.layerBesides,
      Layer.mergeAll(NatsPubSub.layer, Platform.layer, Files.layer, ImageProcess.layer)
    )
  ),
  Layer.provideMerge(Database.layerShared)
)

/** The whole service. It needs `Settings` and the services of Node. */
export const App = Sockets.layerDrainFirst.pipe(
  Layer.provide(Http.layer(RpcRoutes)),
  Layer.provide(Background),
  Layer.provide(layerServer),
  // Nobody can connect before.
  Layer.provide(Bus.layerHeard),
  Layer.provide(Realtime),
  Layer.provide(Services),
  Layer.provide(Layer.mergeAll(Log.layer, Conversations.layerConversations, Identity.layerCredentials)),
  Layer.provide(Volatile.layer),
  Layer.provide(Common),
  Layer.provide(Database.layer),
  Layer.provide(Announced),
  Layer.provide(layerPortCheck),
  Layer.provide(Shedding.layer),
  Layer.provide(PrometheusMetrics.layer)
)
