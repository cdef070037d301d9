import { Context, Effect } from "effect"
import type { UserId } from "../domain/Ids.ts"
import { FairQueue } from "../services/platform/load/FairQueue.ts"
import { asUserAtOnce } from "./Callers.ts"

/** How many calls of a user are done at a time. */
const atATimePerKey = 8

/** The turns of the calls of each user. The transports bound how many may wait: each connection has so many on their way. */
const Turns = Context.Reference("chat/operations/Turns", {
  defaultValue: () => {
    const unbounded = Number.MAX_SAFE_INTEGER
    return new FairQueue({
      atATime: unbounded,
      atATimePerKey,
      waiting: unbounded,
      waitingPerKey: unbounded,
      detail: "Too much is being done at once"
    })
  }
})

/**
 * Makes a handler that gets the id of the calling user, and then the payload of the call. Of the calls of a user over all
 * transports and connections together, eight are done at a time and the others wait, so that whoever asks for much at once
 * does not fill the queue for the connections to PostgreSQL.
 */
export const asUser = <Payload, A, E>(handle: (userId: UserId, payload: Payload) => Effect.Effect<A, E>) =>
  asUserAtOnce((userId, payload: Payload) =>
    Effect.flatMap(Turns, (turns) => turns.patient(userId, handle(userId, payload)))
  )
