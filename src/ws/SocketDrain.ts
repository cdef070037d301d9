import { Effect, Random } from "effect"
import { CloseCode } from "../domain/Protocol.ts"
import { Drain } from "../services/platform/readiness/Drain.ts"
import { Settings, type SettingsShape } from "../services/platform/Settings.ts"
import type { Connection } from "./Connection.ts"

/** How long a drain waits for the commands in flight at most, in milliseconds. */
const longestFinishMs = 3000

/** How long a drain waits for peers to answer the close frame: longer than the grace after which they are cut off. */
const goneMs = 3000

/** How long a node that stops still serves everything, in milliseconds: at most half of the time for the whole stop. */
export const lameDuckOf = ({ lameDuck, timeout }: SettingsShape["shutdown"]) => Math.min(lameDuck, timeout / 2)

/** It waits before each look, so that what has arrived is read first, also when the node was too busy to read it. */
const until = (done: () => boolean, timeout: number) =>
  Effect.sleep("20 millis").pipe(Effect.repeat({ until: done }), Effect.timeoutOption(timeout))

/** Makes the effect that sends all clients to other nodes, lets their commands finish, and closes their sockets. */
export const makeSocketDrain = Effect.fnUntraced(function* (connections: ReadonlySet<Connection>) {
  const drain = yield* Drain
  const { shutdown, timers } = yield* Settings
  const left = shutdown.timeout - lameDuckOf(shutdown) - timers.drain
  // The other half is for closing the sockets, whose clients would not know that they were closed on purpose.
  const finishMs = Math.min(longestFinishMs, Math.max(0, left / 2))

  return Effect.gen(function* () {
    yield* drain.begin
    yield* Effect.logInfo("draining", { sockets: connections.size })
    for (const connection of connections) {
      const afterMs = yield* Random.nextIntBetween(0, timers.drain + 1)
      connection.send({ event: "reconnect", data: { afterMs } })
    }
    const gone = () => connections.size === 0
    if (!gone()) yield* until(gone, timers.drain)
    yield* until(() => [...connections].every(({ inFlight }) => inFlight === 0), finishMs)
    for (const connection of connections) connection.close(CloseCode.draining, "draining")
    yield* until(gone, goneMs)
  })
})
