import { Context, Schema } from "effect"
import { OpenApi } from "effect/http-api"
import { Problem } from "../../domain/Problem.ts"
import { CloseCode, Command, isFinal, socketCommands, subprotocol } from "../../domain/Protocol.ts"
import { events } from "../../domain/ServerEvent.ts"
import { isVoid } from "../../operations/Operation.ts"
import { Operations } from "../../operations/Operations.ts"
import { type Json, type JsonSchemas, makeJsonSchemas } from "./JsonSchemas.ts"

const description = `The protocol of the WebSocket at \`/v1/ws\` (also \`/ws\`).

The client's first frame is the command \`hello\`, within 10 s. Each command \`{id, op, data}\` is answered under its \`id\`
with \`ok\` or with \`error\`, a problem as over HTTP. A client may send an array of commands; the server sends arrays only
to a client whose hello said \`"caps": ["batch"]\`. Unknown fields and unknown events are to be ignored.

An event with a \`seq\` has its place in its conversation's log and comes in that order, without a gap and without a
repeat. Events without one are not repeated when they are lost. Server-Sent Events (\`GET /v1/events\`) and the RPC
\`events.stream\` have the same events.

4000–4499: reconnect, with back-off and jitter. 4500–4999: do not reconnect.`

const closeReasons: Record<keyof typeof CloseCode, string> = {
  internal: "A fault of ours",
  helloTimeout: "No hello in time",
  heartbeatTimeout: "No frame in answer to a ping",
  slowConsumer: "The client reads too slowly; it may reconnect with its cursors",
  tokenExpired: "The access token has expired: reconnect with a new one",
  draining: "This node is shutting down",
  rateLimited: "Too many commands, in spite of a warning",
  badFrame: "Not a command, or a broken frame",
  unsupportedVersion: `Another subprotocol than ${subprotocol} was asked for`,
  unauthenticated: "The token is missing or not valid",
  sessionRevoked: "The session has ended: log in again",
  accountDisabled: "The account was deleted or disabled",
  tooManyConnections: "The user has too many sockets",
  frameTooLarge: "A frame is larger than is allowed"
}

/** What each event means, as it is declared. */
export const eventTexts: Readonly<Record<string, string>> = Object.fromEntries(
  events.map((event) => [event.fields.event.literal, String(Schema.resolveAnnotations(event)?.description)])
)

/** What the commands do that only sockets have. */
const socketTexts: Readonly<Record<string, string>> = {
  hello: "Authenticate the socket",
  "auth.token": "Replace the access token with a new one of the same user",
  ping: "Ask whether the server is still there",
  "presence.subscribe": "Receive the presence of users from now on",
  "presence.unsubscribe": "Stop receiving the presence of users"
}

const ref = (path: string) => ({ $ref: `#/${path}` })
const inChannel = (name: string) => ref(`channels/socket/messages/${name}`)

/** All commands by name: the operations, and what only sockets have or answer in their own way. */
export const commands = (): ReadonlyMap<string, { readonly data: Schema.Top; readonly ok: Schema.Top }> =>
  new Map<string, { readonly data: Schema.Top; readonly ok: Schema.Top }>([
    ...[...Operations.requests.values()].map(
      (rpc) => [rpc._tag, { data: rpc.payloadSchema, ok: rpc.successSchema }] as const
    ),
    ...Object.entries(socketCommands)
  ])

/** The schema, or that of an empty object for nothing: sockets answer `{}` then. */
export const orEmpty = (schema: Schema.Top) => (isVoid(schema) ? Schema.Struct({}) : schema)

/** The summary of a command, and the description of one that is an operation. */
export const textsOf = (op: string) => {
  const annotations = Operations.requests.get(op)?.annotations ?? Context.empty()
  return {
    summary: Context.getOrUndefined(annotations, OpenApi.Summary) ?? socketTexts[op],
    description: Context.getOrUndefined(annotations, OpenApi.Description)
  }
}

const operationOf = (op: string) => {
  const { description, summary } = textsOf(op)
  return {
    action: "receive",
    channel: ref("channels/socket"),
    ...(summary !== undefined && { summary }),
    ...(description !== undefined && { description }),
    messages: [inChannel(op)],
    reply: { messages: [inChannel(`${op}.ok`), inChannel("problem")] }
  }
}

const eventsOperation = () => ({
  action: "send",
  channel: ref("channels/socket"),
  summary: "Live events",
  messages: events.map((event) => inChannel(`event.${event.fields.event.literal}`))
})

/** The name of a Schema for the frames of an operation, from which generators of code name their types. */
const schemaName = (op: string, suffix: string) =>
  `${op.replace(/(^|[.-])(\w)/g, (_, __, letter: string) => letter.toUpperCase())}${suffix}`

/** Every frame that a socket may carry, by the name of its message. */
const messagesOf = (json: JsonSchemas): Record<string, unknown> => {
  const named = (name: string, schema: unknown) => {
    json.components[name] = schema
    return ref(`components/schemas/${name}`)
  }
  const id = json.of(Command.fields.id)
  const messages: Record<string, unknown> = {
    problem: {
      title: "The answer to a command that failed",
      payload: {
        type: "object",
        required: ["id", "error"],
        // It is null when the id of the command could not be read.
        properties: { id: { anyOf: [id, { type: "null" }] }, error: json.of(Problem) }
      }
    }
  }
  for (const [op, { data, ok }] of commands()) {
    const needsData = !isVoid(data) && !("fields" in data && Object.keys(Object(data.fields)).length === 0)
    messages[op] = {
      title: op,
      payload: named(schemaName(op, "Command"), {
        type: "object",
        required: needsData ? ["id", "op", "data"] : ["id", "op"],
        properties: { id, op: { const: op }, data: json.of(orEmpty(data)), traceparent: { type: "string" } }
      })
    }
    messages[`${op}.ok`] = {
      title: `The answer to ${op}`,
      payload: named(schemaName(op, "Answer"), {
        type: "object",
        required: ["id", "ok"],
        properties: { id, ok: json.of(orEmpty(ok)) }
      })
    }
  }
  for (const event of events) {
    const name = event.fields.event.literal
    messages[`event.${name}`] = { title: name, summary: eventTexts[name], payload: json.of(event) }
  }
  return messages
}

const closeCodes = () =>
  Object.fromEntries(
    Object.entries(CloseCode).map(([name, code]) => [
      code,
      { name, reconnect: !isFinal(code), description: Object.entries(closeReasons).find(([key]) => key === name)?.[1] }
    ])
  )

/**
 * Describes the WebSocket's protocol from the Schemas that it is decoded and encoded with (AsyncAPI 3.1). `origin` is
 * the address of the service.
 */
export const toAsyncApiDocument = (origin: string): Json => {
  const { host, protocol } = new URL(origin)
  const json = makeJsonSchemas()
  const messages = messagesOf(json)
  return {
    asyncapi: "3.1.0",
    info: {
      title: "chat-service",
      version: "1",
      description,
      license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" },
      "x-close-codes": closeCodes()
    },
    defaultContentType: "application/json",
    servers: { service: { host, protocol: protocol === "https:" ? "wss" : "ws", description: "This service" } },
    channels: {
      socket: {
        address: "/v1/ws",
        title: "The WebSocket",
        servers: [ref("servers/service")],
        bindings: { ws: { method: "GET", bindingVersion: "0.1.0" } },
        messages: Object.fromEntries(Object.keys(messages).map((name) => [name, ref(`components/messages/${name}`)]))
      }
    },
    operations: {
      ...Object.fromEntries([...commands().keys()].map((op) => [op, operationOf(op)])),
      events: eventsOperation()
    },
    components: { messages, schemas: json.components }
  }
}
