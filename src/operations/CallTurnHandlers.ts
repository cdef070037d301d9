import { Context, Effect } from "effect"
import type { UserId } from "../domain/Ids.ts"
import { FairQueue } from "../services/platform/load/FairQueue.ts"
import { asUserAtOnce } from "./Callers.ts"

/** How many calls of a user are done at a time. */
const atATimePerKey = 8

/** How long a call waits for its turn, in milliseconds: longer than a statement waits for a lock. */
const patienceMs = 5000

/** The turns of the calls of each user. */
const Turns = Context.Reference("chat/operations/Turns", {
  defaultValue: () => new FairQueue({ atATimePerKey, detail: "Too much is being done at once" })
})

/**
 * Makes a handler that gets the id of the calling user, and then the payload of the call. Of the calls of a user over all
 * transports and connections to this node together, eight are done at a time and the others wait, so that whoever asks for
 * much at once does not fill the queue for the connections to PostgreSQL. A call waits for five seconds at most, so that
 * eight that are stuck (behind the lock of one conversation) do not stop everything else that the user does.
 */
export const asUser = <Payload, A, E>(handle: (userId: UserId, payload: Payload) => Effect.Effect<A, E>) =>
  asUserAtOnce((userId, payload: Payload) =>
    Effect.flatMap(Turns, (turns) => turns.patient(userId, handle(userId, payload), patienceMs))
  )
