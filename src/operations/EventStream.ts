import { Schema } from "effect"
import { Sse } from "effect/encoding"
import { HttpApiSchema } from "effect/http-api"
import { InvalidRequest, RateLimited, Unauthenticated, Unavailable } from "../domain/Problem.ts"
import { ServerEvent } from "../domain/ServerEvent.ts"
import { SyncRequest } from "../domain/Sync.ts"
import { feature, operation } from "./Operation.ts"

/**
 * The stream of live events over RPC and HTTP. Sockets receive events without asking, so it is not a command of
 * theirs.
 */
export const EventStream = feature(
  {},
  operation("events.stream", {
    http: "GET /v1/events",
    query: { ...SyncRequest.fields, cursors: Schema.optionalKey(SyncRequest.fields.cursors) },
    success: ServerEvent,
    stream: true,
    // Server-Sent Events have their own cursor, which browsers send back by themselves.
    overHttp: {
      query: null,
      headers: { "last-event-id": Schema.optionalKey(Schema.String.check(Schema.isMaxLength(4096))) },
      success: HttpApiSchema.StreamSse({ events: Sse.EventEncoded })
    },
    problems: [InvalidRequest, Unauthenticated, RateLimited, Unavailable],
    summary: "Receive live events as Server-Sent Events",
    description:
      "`event` is the name, `data` the JSON object that a WebSocket would get, `id` an opaque cursor over all conversations: with it as `Last-Event-ID` the stream continues after that event on any node. Without one the stream starts with the list of conversations. Over RPC the request names a cursor per conversation; the stream ends with the session and when the node shuts down, and the client calls again with its present cursors."
  })
)
