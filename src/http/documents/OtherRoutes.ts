import {
  Forbidden,
  InvalidRequest,
  NotFound,
  RateLimited,
  TooLarge,
  Unavailable,
  UnsupportedMediaType,
  UpgradeRequired
} from "../../domain/Problem.ts"
import { filePaths } from "./FilePaths.ts"
import type { Json } from "./JsonSchemas.ts"
import { type Describe, problem } from "./Problems.ts"

/** A file that anybody may read, in one of several types. One that browsers keep is `cached`. */
const file = (operationId: string, summary: string, type: string, cached: boolean, ...contentTypes: Array<string>) => ({
  get: {
    tags: ["system"],
    operationId,
    summary,
    description: "Needs no session.",
    security: [],
    responses: {
      200: {
        description: summary,
        content: Object.fromEntries(contentTypes.map((contentType) => [contentType, { schema: { type } }]))
      },
      ...(cached && { 304: { description: "What the client has is still true" } })
    }
  }
})
const page = (operationId: string, summary: string) => file(operationId, summary, "string", true, "text/html")
const document = (operationId: string, summary: string) =>
  file(operationId, summary, "object", true, "application/json")

/** A file of the chat page, which there is only with the page. */
const optionalFile = (operationId: string, summary: string, contentType: string, describe: Describe) => {
  const { get } = file(operationId, summary, "string", true, contentType)
  return {
    get: {
      ...get,
      responses: { ...get.responses, 404: problem("The page is off or not built", NotFound, describe) }
    }
  }
}

const socket = (operationId: string, summary: string, description: string, describe: Describe) => ({
  get: {
    tags: ["system"],
    operationId,
    summary,
    description,
    security: [],
    responses: {
      101: { description: "The connection becomes a WebSocket" },
      400: problem("The handshake is not valid", InvalidRequest, describe),
      403: problem("Pages of that origin may not connect", Forbidden, describe),
      426: problem("The request is not a WebSocket handshake", UpgradeRequired, describe),
      429: problem("There are too many sockets", RateLimited, describe),
      503: problem("The node is shutting down", Unavailable, describe)
    }
  }
})

/** Describes the paths of the chat page. */
const pagePaths = (describe: Describe) => ({
  "/": {
    get: {
      tags: ["system"],
      operationId: "root",
      summary: "The chat page",
      description: "Needs no session. Leads to `/docs` when `server.web` is off or the page is not built.",
      security: [],
      responses: {
        200: { description: "The chat page", content: { "text/html": { schema: { type: "string" } } } },
        302: { description: "There is no chat page; `/docs` can be read instead" },
        304: { description: "What the client has is still true" }
      }
    }
  },
  "/assets/{name}": {
    get: {
      tags: ["system"],
      operationId: "web.asset",
      summary: "A part of the chat page",
      description: "Needs no session. Its name has a hash of its content, so it never changes.",
      security: [],
      parameters: [{ name: "name", in: "path", required: true, schema: { type: "string" } }],
      responses: {
        200: {
          description: "The part",
          content: {
            "text/javascript": { schema: { type: "string" } },
            "text/css": { schema: { type: "string" } },
            "image/svg+xml": { schema: { type: "string" } },
            "image/png": { schema: { type: "string" } }
          }
        },
        304: { description: "What the client has is still true" },
        404: problem("There is no such part", NotFound, describe)
      }
    }
  },
  "/docs/embed": optionalFile("docs.embed", "A widget with one conversation for other pages", "text/html", describe),
  "/manifest.webmanifest": optionalFile(
    "web.manifest",
    "How the chat page is installed",
    "application/manifest+json",
    describe
  ),
  "/service-worker.js": optionalFile(
    "web.worker",
    "What starts the chat page without a connection",
    "text/javascript",
    describe
  )
})

/** Describes the paths that are no part of `Api`, as OpenAPI does. */
export const otherPaths = (describe: Describe): Json => ({
  "/v1/ws": socket(
    "socket",
    "The WebSocket",
    "Commands and live events, as `/asyncapi.json` describes them.",
    describe
  ),
  "/ws": socket("socket.short", "The WebSocket, by its short path", "The same as `/v1/ws`.", describe),
  "/rpc/ws": socket("rpc.socket", "RPC over a WebSocket", "The operations for Effect's RPC client, as JSON.", describe),
  ...filePaths(describe),
  "/rpc": {
    post: {
      tags: ["system"],
      operationId: "rpc",
      summary: "RPC",
      description:
        "The operations for Effect's RPC client, under the same names, with one JSON object per line. The access token is the header `Authorization` of the request, or of a single call.",
      security: [{ bearer: [] }, {}],
      requestBody: { required: true, content: { "application/x-ndjson": { schema: { type: "string" } } } },
      responses: {
        200: { description: "Answers", content: { "application/x-ndjson": { schema: { type: "string" } } } },
        400: problem("The body is not valid", InvalidRequest, describe),
        413: problem("The body is too large", TooLarge, describe),
        415: problem("The body is not JSON", UnsupportedMediaType, describe)
      }
    }
  },
  ...pagePaths(describe),
  "/problems/{name}": {
    get: {
      tags: ["system"],
      operationId: "problem",
      summary: "What a type of problem means",
      description: "Needs no session. The path is the `type` of the problem.",
      security: [],
      parameters: [{ name: "name", in: "path", required: true, schema: { type: "string" } }],
      responses: {
        200: {
          description: "What the type means",
          content: { "text/html": { schema: { type: "string" } }, "application/json": { schema: { type: "object" } } }
        },
        404: problem("There is no such type", NotFound, describe)
      }
    }
  },
  "/metrics": file("metrics", "Metrics for Prometheus", "string", false, "text/plain", "application/openmetrics-text"),
  "/docs": page("docs", "A page to read and try this API"),
  "/docs/events": page("docs.events", "A page that shows the protocol of the WebSocket"),
  "/openapi.json": document("openapi", "This document (OpenAPI 3.1)"),
  "/asyncapi.json": document("asyncapi", "The protocol of the WebSocket (AsyncAPI 3.1)")
})
