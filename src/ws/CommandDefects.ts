import { randomUUID } from "node:crypto"
import { Effect } from "effect"
import type { Internal } from "../domain/Problem.ts"
import { hideDefects } from "../services/platform/Defects.ts"
import type { Connection } from "./Connection.ts"

/** Hides a defect of a command behind an id that finds it in the log, with the operation, connection and user. */
export const hideCommandDefects = <A, E>(
  { id: connectionId, principal }: Connection,
  op: string,
  effect: Effect.Effect<A, E>
): Effect.Effect<A, E | Internal> =>
  hideDefects(
    effect,
    "command failed",
    Effect.sync(() => ({ id: randomUUID(), op, connectionId, ...(principal && { userId: principal.userId }) }))
  )
