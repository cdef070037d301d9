import { Effect } from "effect"
import type { Problem } from "../domain/Problem.ts"
import type { Connection } from "./Connection.ts"

/** A command as a span, by OpenTelemetry's conventions for remote calls; `op` must be one of a few names. */
export const commandSpan = (op: string, { id, principal }: Connection) => ({
  name: op,
  kind: "server" as const,
  attributes: {
    "rpc.system.name": "chat.v1.json",
    "rpc.method": op,
    "chat.connection.id": id,
    ...(principal && { "user.id": principal.userId })
  }
})

/** What the client did wrong is no error of the span. */
export const markFault = ({ _tag, status }: Problem): Effect.Effect<void> =>
  status >= 500 ? Effect.annotateCurrentSpan("error.type", _tag) : Effect.void
