import { subprotocol } from "../domain/Protocol.ts"
import type { Connection } from "./Connection.ts"

/** The span of a command, by OpenTelemetry's conventions for remote calls; `op` must be one of a few names. */
export const commandSpan = (op: string, { id, principal }: Connection) => ({
  name: op,
  kind: "server" as const,
  attributes: {
    "rpc.system.name": subprotocol,
    "rpc.method": op,
    "chat.connection.id": id,
    ...(principal && { "user.id": principal.userId })
  }
})
