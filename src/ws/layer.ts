import { Effect, Layer } from "effect"
import * as Handlers from "../operations/Handlers.ts"
import { Drain } from "../services/platform/readiness/Drain.ts"
import { Settings } from "../services/platform/Settings.ts"
import { Commands } from "./Commands.ts"
import { Gateway } from "./Gateway.ts"
import { lameDuckOf } from "./SocketDrain.ts"

/** The gateway of sockets, whose commands are served by the handlers of the operations. */
export const layer = Gateway.layer.pipe(Layer.provide(Commands.layer.pipe(Layer.provide(Handlers.layer))))

/**
 * Leaves and then drains when the service stops. It is built on top of the server, so it ends first: clients are told to
 * reconnect while everything below still works. Before that, load balancers have `shutdown.lameDuck` to see the 503 of
 * `/ready`.
 */
export const layerDrainFirst = Layer.effectDiscard(
  Effect.gen(function* () {
    const gateway = yield* Gateway
    const drain = yield* Drain
    const { shutdown } = yield* Settings
    const lameDuck = lameDuckOf(shutdown)
    const leave = Effect.gen(function* () {
      yield* drain.leave
      if (lameDuck > 0) yield* Effect.logInfo("leaving: load balancers see it at /ready", { millis: lameDuck })
      yield* Effect.sleep(lameDuck)
    })
    yield* Effect.addFinalizer(() => Effect.andThen(leave, gateway.drain))
  })
)
