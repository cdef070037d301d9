import { Effect, Schema } from "effect"
import { OpenApi } from "effect/http-api"
import { Api } from "../../src/operations/Api.ts"
import { AllOperations } from "../../src/operations/Operations.ts"
import { api, type Client, connect } from "./Client.ts"

/** The data of an operation. */
export type Data = Readonly<Record<string, unknown>>

const Said = Schema.StructWithRest(Schema.Struct({ type: Schema.String }), [
  Schema.Record(Schema.String, Schema.Unknown)
])

/** What the service answers: the problem but for the request that it answers, or null when it does what it is asked. */
export type Answer = typeof Said.Type | null

/** The problem of an answer. */
export const problemOf = (problem: unknown): Answer => {
  const { requestId: _, ...said } = Schema.decodeUnknownSync(Said)(problem)
  return said
}

/** The method and path of an operation over HTTP, from the document. */
const routes = new Map(
  Object.entries(OpenApi.fromApi(Api).paths).flatMap(([path, { delete: remove, get, patch, post, put }]) =>
    Object.entries({ DELETE: remove, GET: get, PATCH: patch, POST: post, PUT: put }).flatMap(([method, operation]) =>
      operation === undefined ? [] : [[operation.operationId, { method, path }] as const]
    )
  )
)

/** Asks for an operation over HTTP. Undefined for what HTTP does not have. */
export const overHttp = (url: string, name: string, data: Data, token?: string, actAs?: string) =>
  Effect.gen(function* () {
    const hides = name === "message.hide"
    const route = routes.get(hides ? "message.delete" : name)
    if (route === undefined) return undefined
    const rest: Record<string, unknown> = { ...data }
    const takeOut = (key: string) => {
      const value = rest[key]
      delete rest[key]
      return encodeURIComponent(String(value))
    }
    const path = route.path.replace(/\{(\w+)\}/g, (_, key: string) => takeOut(key))
    if (name === "message.forward") {
      rest.conversationId = rest.toConversationId
      delete rest.toConversationId
    }
    const hasBody = ["POST", "PUT", "PATCH"].includes(route.method) && Object.keys(rest).length > 0
    const needsBody = name === "invite.create"
    const query = new URLSearchParams(hides ? { for: "me" } : {})
    if (!hasBody) for (const [key, value] of Object.entries(rest)) query.append(key, String(value))
    const { body, status } = yield* api(url).ask(route.method, query.size === 0 ? path : `${path}?${query}`, {
      ...((hasBody || needsBody) && { json: rest }),
      ...(token !== undefined && { token }),
      ...(actAs !== undefined && { actAs })
    })
    return status < 300 ? null : problemOf(body)
  })

const Exit = Schema.Union([
  Schema.Struct({ _tag: Schema.Literal("Success") }),
  Schema.Struct({ _tag: Schema.Literal("Failure"), cause: Schema.Array(Schema.Struct({ error: Schema.Unknown })) })
])
const decodeExit = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Struct({ exit: Exit })))

/** The call of an operation. One without data takes none, not even an empty object. */
const callOf = (name: string, data: Data, token: string | undefined, actAs?: string) => ({
  _tag: "Request",
  id: "1",
  tag: name,
  payload: AllOperations.requests.get(name)?.payloadSchema.ast._tag === "Void" ? null : data,
  headers: [
    ...(token === undefined ? [] : [["authorization", `Bearer ${token}`]]),
    ...(actAs === undefined ? [] : [["chat-act-as", actAs]])
  ]
})

const answerOf = (exitLine: string): Answer => {
  const { exit } = decodeExit(exitLine)
  return exit._tag === "Success" ? null : problemOf(exit.cause[0]?.error)
}

/** Asks for an operation over RPC. */
export const overRpc = (url: string, name: string, data: Data, token?: string, actAs?: string) =>
  Effect.promise(async (): Promise<Answer> => {
    const response = await fetch(`${url}/rpc`, {
      method: "POST",
      headers: { "content-type": "application/x-ndjson" },
      body: `${JSON.stringify(callOf(name, data, token, actAs))}\n`
    })
    const [line = ""] = (await response.text()).trim().split("\n")
    return answerOf(line)
  })

/** Asks for an operation over a socket for calls. */
export const overRpcSocket = Effect.fnUntraced(function* (url: string, name: string, data: Data, token?: string) {
  const client = yield* connect(url, { path: "/rpc/ws", described: false })
  client.send(callOf(name, data, token))
  const { json } = yield* client.next(() => true)
  client.terminate()
  return answerOf(JSON.stringify(json))
})

/** Asks for an operation over a WebSocket that has said hello. */
export const overSocket = (client: Client, name: string, data: Data) =>
  Effect.map(client.command(name, data), ({ error, ok }) => (ok !== undefined ? null : problemOf(error)))
