import { Schema } from "effect"
import { Problem } from "../domain/Problem.ts"
import { events } from "../domain/Told.ts"
import { Operations } from "../rpc/Operations.ts"
import { CloseCode, Command, subprotocol } from "../ws/Protocol.ts"
import { socketCommands } from "../ws/SocketCommands.ts"
import { isRecord, type Json, makeJsonSchemas } from "./JsonSchemas.ts"

const description = `The protocol of the WebSocket at \`/v1/ws\` (also \`/ws\`).

The client's first frame is the command \`hello\`, within 10 s. Each command \`{id, op, data}\` is answered under its \`id\`
with \`ok\` or with \`error\`, a problem as over HTTP. A client may send an array of commands; the server sends arrays only
to a client whose hello said \`"caps": ["batch"]\`. Unknown fields and unknown events are to be ignored.

An event with a \`seq\` has its place in its conversation's log and comes in that order, without a hole and without a
repeat. Events without one are not repeated when they are lost. Server-Sent Events (\`GET /v1/events\`) and the RPC
\`events.stream\` tell the same events.

4000–4499: come back, with back-off and jitter. 4500–4999: do not.`

const closeReasons: Record<keyof typeof CloseCode, string> = {
  internal: "A fault of ours",
  helloTimeout: "No hello in time",
  heartbeatTimeout: "No frame in answer to a ping",
  slowConsumer: "The client reads too slowly; it may come back with its cursors",
  tokenExpired: "The access token has expired: come back with a new one",
  draining: "This node is going away",
  rateLimited: "Too many commands, after being told so",
  badFrame: "Not a command, or a broken frame",
  unsupportedVersion: `Another subprotocol than ${subprotocol} was asked for`,
  unauthenticated: "The token is missing or not valid",
  sessionRevoked: "The session has ended: log in again",
  accountDisabled: "The account was deleted or disabled",
  tooManyConnections: "The user has too many sockets",
  frameTooLarge: "A frame is larger than is allowed"
}

const eventTexts: Record<string, string> = {
  ready: "All that there was to tell at the start has been told when `done` is true.",
  ping: "Answer with any frame.",
  reconnect: "This node goes away: reconnect in `afterMs`.",
  "conversation.reset": "Too much was missed: fetch the conversation again; events go on at `seq` + 1.",
  "conversation.dirty": "The client reads slowly: what comes after is replayed when it has caught up. Nothing to do.",
  "session.expiring": "Send `auth.token` with a new token before `expiresAt`."
}

const ref = (path: string) => ({ $ref: `#/${path}` })
const inChannel = (name: string) => ref(`channels/socket/messages/${name}`)

/** All commands by name: those declared for RPC, and those of the socket, which win. */
const commands = (): ReadonlyMap<string, { readonly data: Schema.Top; readonly ok: Schema.Top }> =>
  new Map<string, { readonly data: Schema.Top; readonly ok: Schema.Top }>([
    ...[...Operations.requests.values()].map(
      (rpc) => [rpc._tag, { data: rpc.payloadSchema, ok: rpc.successSchema }] as const
    ),
    ...Object.entries(socketCommands)
  ])

const isVoid = (schema: Schema.Top) => schema.ast._tag === "Void"
const orEmpty = (schema: Schema.Top) => (isVoid(schema) ? Schema.Struct({}) : schema)

/** The summary and description that an operation has over HTTP, by its id. */
const textsOf = (openApi: Json): ReadonlyMap<string, Json> => {
  const texts = new Map<string, Json>()
  for (const path of Object.values(isRecord(openApi.paths) ? openApi.paths : {}))
    for (const each of Object.values(isRecord(path) ? path : {}))
      if (isRecord(each)) texts.set(String(each.operationId), each)
  return texts
}

/** Describes the WebSocket's protocol from the Schemas that it is decoded and encoded with (AsyncAPI 3.1). */
export const toAsyncApiDocument = (openApi: Json): Json => {
  const json = makeJsonSchemas()
  const texts = textsOf(openApi)
  const messages: Record<string, unknown> = {}
  const operations: Record<string, unknown> = {}
  const id = json.of(Command.fields.id)

  messages.problem = {
    title: "An answer that tells why not",
    payload: {
      type: "object",
      required: ["id", "error"],
      properties: { id, error: json.of(Problem) }
    }
  }
  for (const [op, { data, ok }] of commands()) {
    const { description, summary } = texts.get(op) ?? {}
    const needsData = !isVoid(data) && !("fields" in data && Object.keys(Object(data.fields)).length === 0)
    messages[op] = {
      title: op,
      payload: {
        type: "object",
        required: needsData ? ["id", "op", "data"] : ["id", "op"],
        properties: { id, op: { const: op }, data: json.of(orEmpty(data)), traceparent: { type: "string" } }
      }
    }
    messages[`${op}.ok`] = {
      title: `The answer to ${op}`,
      payload: { type: "object", required: ["id", "ok"], properties: { id, ok: json.of(orEmpty(ok)) } }
    }
    operations[op] = {
      action: "receive",
      channel: ref("channels/socket"),
      ...(summary !== undefined && { summary }),
      ...(description !== undefined && { description }),
      messages: [inChannel(op)],
      reply: { messages: [inChannel(`${op}.ok`), inChannel("problem")] }
    }
  }
  for (const event of events) {
    const name = event.fields.event.literal
    messages[`event.${name}`] = {
      title: name,
      ...(eventTexts[name] !== undefined && { summary: eventTexts[name] }),
      payload: json.of(event)
    }
  }
  operations.events = {
    action: "send",
    channel: ref("channels/socket"),
    summary: "What happens, as it happens",
    messages: events.map((event) => inChannel(`event.${event.fields.event.literal}`))
  }
  return {
    asyncapi: "3.1.0",
    info: {
      title: "chat-service",
      version: "1",
      description,
      license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" },
      "x-close-codes": Object.fromEntries(
        Object.entries(CloseCode).map(([name, code]) => [
          code,
          { name, reconnect: code < 4500, description: Object.entries(closeReasons).find(([key]) => key === name)?.[1] }
        ])
      )
    },
    defaultContentType: "application/json",
    servers: {
      local: { host: "localhost:8080", protocol: "ws", description: "A single node as `npm start` starts it" }
    },
    channels: {
      socket: {
        address: "/v1/ws",
        title: "The WebSocket",
        servers: [ref("servers/local")],
        bindings: { ws: { method: "GET", bindingVersion: "0.1.0" } },
        messages: Object.fromEntries(Object.keys(messages).map((name) => [name, ref(`components/messages/${name}`)]))
      }
    },
    operations,
    components: { messages, schemas: json.components }
  }
}
