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
