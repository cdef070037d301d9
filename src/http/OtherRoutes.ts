import type { Schema } from "effect"
import {
  Forbidden,
  InvalidRequest,
  RateLimited,
  TooLarge,
  Unavailable,
  UnsupportedMediaType,
  UpgradeRequired
} from "../domain/Problem.ts"
import type { Json } from "./JsonSchemas.ts"

type Describe = (schema: Schema.Top) => unknown

const problem = (description: string, schema: Schema.Top, describe: Describe) => ({
  description,
  content: { "application/problem+json": { schema: describe(schema) } }
})

const page = (operationId: string, summary: string, ...contentTypes: ReadonlyArray<string>) => ({
  get: {
    tags: ["system"],
    operationId,
    summary,
    description: "For everybody.",
    security: [],
    responses: {
      200: {
        description: summary,
        content: Object.fromEntries(contentTypes.map((type) => [type, { schema: { type: "string" } }]))
      }
    }
  }
})

const document = (operationId: string, summary: string) => ({
  get: {
    tags: ["system"],
    operationId,
    summary,
    description: "For everybody.",
    security: [],
    responses: { 200: { description: summary, content: { "application/json": { schema: { type: "object" } } } } }
  }
})

const socket = (operationId: string, summary: string, description: string, describe: Describe) => ({
  get: {
    tags: ["system"],
    operationId,
    summary,
    description,
    security: [],
    responses: {
      101: { description: "The connection is a WebSocket now" },
      400: problem("The handshake is not valid", InvalidRequest, describe),
      403: problem("Pages of that origin may not connect", Forbidden, describe),
      426: problem("This is no WebSocket handshake", UpgradeRequired, describe),
      429: problem("There are too many sockets", RateLimited, describe),
      503: problem("This node is going away", Unavailable, describe)
    }
  }
})

/** The paths that are served beside the API of HTTP, as OpenAPI has them. */
export const otherPaths = (describe: Describe): Json => ({
  "/v1/ws": socket(
    "socket",
    "The WebSocket",
    "Commands and live events, as `/asyncapi.json` describes them.",
    describe
  ),
  "/ws": socket("socket.short", "The WebSocket, by its short path", "The same as `/v1/ws`.", describe),
  "/rpc/ws": socket("rpc.socket", "RPC over a WebSocket", "The operations for Effect's RPC client, as JSON.", describe),
  "/rpc": {
    post: {
      tags: ["system"],
      operationId: "rpc",
      summary: "RPC",
      description:
        "The operations for Effect's RPC client, under the same names: one JSON object a line. The access token is the header `Authorization` of the request, or of a single call.",
      security: [{ bearer: [] }, {}],
      requestBody: { required: true, content: { "application/x-ndjson": { schema: { type: "string" } } } },
      responses: {
        200: { description: "Answers", content: { "application/x-ndjson": { schema: { type: "string" } } } },
        400: problem("The body is not valid", InvalidRequest, describe),
        413: problem("The body is too large", TooLarge, describe),
        415: problem("The body is no JSON", UnsupportedMediaType, describe)
      }
    }
  },
  "/metrics": page("metrics", "Metrics for Prometheus", "text/plain", "application/openmetrics-text"),
  "/docs": page("docs", "This API to read and to try", "text/html"),
  "/docs/events": page("docs.events", "The protocol of the WebSocket to read", "text/html"),
  "/openapi.json": document("openapi", "This document (OpenAPI 3.1)"),
  "/asyncapi.json": document("asyncapi", "The protocol of the WebSocket (AsyncAPI 3.1)")
})
