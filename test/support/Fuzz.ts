import { Effect } from "effect"
import { openApiDocument } from "../../src/http/documents/Docs.ts"
import { isRecord } from "../../src/http/documents/JsonSchemas.ts"
import { api, type Client, connect } from "./Client.ts"
import { mustBeDescribed } from "./Documented.ts"
import { FuzzInput } from "./FuzzInput.ts"
import { randomOf } from "./Random.ts"

/** An operation as the document has it. */
interface Operation {
  readonly method: string
  readonly path: string
  readonly name: string
  readonly parameters: ReadonlyArray<{ readonly name: string; readonly in: string; readonly schema: unknown }>
  readonly body: unknown
}

/** Streams never end, an upgrade is no request, and a test's service has no metrics. */
const apart = new Set(["events.stream", "socket", "socket.short", "rpc.socket", "rpc", "metrics"])

const operationsOf = (document: unknown): ReadonlyArray<Operation> =>
  Object.entries(Object(document).paths).flatMap(([path, methods]) =>
    Object.entries(Object(methods)).flatMap(([method, operation]) => {
      const { operationId: name, parameters = [], requestBody } = Object(operation)
      if (apart.has(name)) return []
      const body = requestBody?.content?.["application/json"]?.schema
      return [{ method: method.toUpperCase(), path, name, parameters, body }]
    })
  )

/** Limits so high that what is sent reaches what is behind them. */
export const fuzzLimits = {
  loginFailuresPerMinute: 1_000_000,
  loginFailuresPerMinuteAddress: 1_000_000,
  loginFailuresPerMinuteAccount: 1_000_000,
  loginsPerMinute: 1_000_000,
  refreshesPerMinute: 1_000_000,
  memberChangesPerMinute: 1_000_000,
  additionsPerHour: 1_000_000,
  addressRequestsPerSecond: 1_000_000,
  addressRequestsBurst: 1_000_000,
  readBytesPerSecond: 1_000_000_000,
  readBytesBurst: 1_000_000_000
}

/** Somebody who sends what the fuzz test makes. */
interface Sender {
  readonly username: string
  readonly password: string
  token: string
}

type Calls = ReadonlyArray<Operation>

interface Answered {
  /** What is wrong with the answer. */
  readonly complaint: string | undefined
  /** The answer to a token that is no longer valid. */
  readonly signedOut: boolean
}

const fine: Answered = { complaint: undefined, signedOut: false }

/** What is wrong with a problem: that it is a fault of the service. */
const faultOf = (error: unknown, what: string): Answered => {
  const { code, status } = Object(error)
  const signedOut = status === 401 && code !== undefined
  return { complaint: Number(status) >= 500 ? `${what}: ${JSON.stringify(error)}` : undefined, signedOut }
}

/** Prepares users with conversations, messages and everything else that operations name. */
const prepare = Effect.fnUntraced(function* (url: string) {
  const http = api(url)
  const [a, b, c] = [yield* http.register("fuzz"), yield* http.register("fuzz"), yield* http.register("fuzz")]
  const group = yield* http.group(a, b)
  const dm = yield* http.dm(a, b)
  const foreign = yield* http.group(c)
  const messages: Array<string> = []
  for (const [who, where] of [[a, group] as const, [b, group] as const, [a, dm] as const, [c, foreign] as const])
    for (let i = 0; i < 3; i++) messages.push((yield* http.post(who, where, `${where}${i}`)).message.id)
  const poll = { clientMessageId: "poll", body: "", type: "poll", payload: { question: "?", options: ["1", "2"] } }
  const sent = yield* http.must("POST", `/v1/conversations/${group}/messages`, { token: a.token, json: poll })
  messages.push(String(Object(sent).message.id))
  const invite = yield* http.must("POST", `/v1/conversations/${group}/invites`, { token: a.token, json: {} })
  const page = yield* http.must("GET", `/v1/conversations/${group}/members?limit=1`, { token: a.token })
  const usernames = [a, b, c].map(({ username }) => username)
  const pools = new Map<string, ReadonlyArray<string>>([
    ["conversationId", [group, dm, foreign, "00000000-0000-7000-8000-000000000000"]],
    ["toConversationId", [group, dm]],
    ["messageId", messages],
    ["replyTo", messages],
    ["threadRoot", messages],
    ["userId", [a.id, b.id, c.id]],
    ["memberId", [a.id, b.id, c.id]],
    ["code", [String(Object(invite).code)]],
    ["emoji", ["👍", "❤", "🇩🇪", "x"]],
    ["cursor", [String(Object(page).nextCursor)]],
    ["username", usernames],
    ["login", usernames],
    // The right one would delete an account or change its password.
    ["password", ["wrong horse"]],
    ["query", ["hello", "fuzz", '"a b"', "-x y", ""]],
    ["closesAt", ["0000-01-01T00:00:00Z", "2099-01-01T00:00:00.000Z"]],
    ["clientMessageId", Array.from({ length: 50 }, (_, i) => `c${i}`)]
  ])
  const senders: ReadonlyArray<Sender> = [a, b, c].map(({ password, token, username }) => ({
    username,
    password,
    token
  }))
  return { pools, senders }
})

const encoded = (value: unknown) =>
  encodeURIComponent(typeof value === "string" ? value.toWellFormed() : (JSON.stringify(value) ?? ""))

/** Sends an operation over HTTP. */
const overHttp = (url: string, input: FuzzInput, { body, method, name, parameters, path }: Operation, token: string) =>
  Effect.promise(async (): Promise<Answered> => {
    let target = path
    const query: Array<string> = []
    for (const { in: where, name: field, schema } of parameters) {
      const value = input.value(schema, field)
      if (where === "path") {
        const raw = input.chance(0.02) ? (input.pick(["%zz", "%00", "a;b", "..%2f", "%f0"]) ?? "") : encoded(value)
        target = target.replace(`{${field}}`, raw === "" || raw === "." || raw === ".." ? "x" : raw)
      } else if (where === "query" && input.chance(0.7)) query.push(`${field}=${encoded(value)}`)
    }
    if (query.length > 0) target += `?${query.join("&")}`
    const headers = new Headers()
    if (input.chance(0.95)) headers.set("authorization", `Bearer ${input.chance(0.03) ? "nonsense" : token}`)
    if (input.chance(0.05)) headers.set("idempotency-key", input.pick(["k", "x".repeat(200), "é", " "]) ?? "k")
    if (input.chance(0.03)) headers.set("origin", input.pick(["https://evil.example", "null", "x"]) ?? "x")
    if (input.chance(0.01)) headers.set("x-long", "x".repeat(17_000))
    const text = input.chance(0.02)
      ? input.pick(["{", "[]", '"\u0000"', "\ufeff{}", "null", "{".repeat(50)])
      : undefined
    const json = body === undefined ? undefined : (text ?? JSON.stringify(input.value(body, name)))
    if (json !== undefined) headers.set("content-type", input.chance(0.01) ? "text/plain" : "application/json")
    const response = await fetch(url + target, {
      method,
      headers,
      redirect: "manual",
      ...(json !== undefined && { body: json })
    })
    const answer = await response.text()
    const what = `${method} ${target} ${json?.slice(0, 400)} → ${response.status} ${answer.slice(0, 400)}`
    if (response.status >= 500 && name !== "ready") return { complaint: what, signedOut: false }
    try {
      mustBeDescribed({ method, path: target, status: response.status, headers: response.headers, text: answer })
    } catch (cause) {
      return { complaint: `${what}\n${String(cause)}`, signedOut: false }
    }
    return { complaint: undefined, signedOut: response.status === 401 && answer.includes("session-ended") }
  })

/** The payload that sockets and RPC send: all fields in one object. */
const payloadOf = (input: FuzzInput, { body, name, parameters }: Operation) => {
  const fields = parameters
    .filter(({ in: where }) => where === "path" || (where === "query" && input.chance(0.7)))
    .map(({ name: field, schema }) => [field, input.value(schema, field)])
  const rest = body === undefined ? undefined : input.value(body, name)
  if (fields.length === 0 && rest === undefined) return input.chance(0.1) ? {} : undefined
  return input.chance(0.02) ? rest : { ...Object.fromEntries(fields), ...(isRecord(rest) && rest) }
}

/** A socket for one sender, which is opened again when it was closed. */
const makeSocket = (open: Effect.Effect<Client, unknown, import("effect/Scope").Scope>) => {
  let socket: Client | undefined
  return Effect.gen(function* () {
    if (socket === undefined || socket.isClosed) socket = yield* Effect.orDie(open)
    return socket
  })
}

let lastId = 0

/** Sends a command over a socket of `/v1/ws`, or a call over one of `/rpc/ws`, and waits for what comes of it. */
const overSocket = Effect.fnUntraced(function* (socket: Client, frame: object, id: string, what: string) {
  socket.send(frame)
  const answer = yield* socket
    .next(({ json }) => Object(json).id === id || Object(json).requestId === id || Object(json)._tag === "Defect")
    .pipe(
      Effect.catchDefect(
        (defect): Effect.Effect<{ readonly json: unknown }> =>
          socket.isClosed
            ? Effect.map(socket.closed, ({ code }) => ({ json: { closed: code } }))
            : Effect.succeed({ json: { _tag: "Defect", defect: String(defect) } })
      )
    )
  const { _tag, closed, error, exit } = Object(answer.json)
  if (_tag === "Defect") return { complaint: `${what}: ${JSON.stringify(answer.json)}`, signedOut: false }
  if (closed !== undefined) return { complaint: closed === 4000 ? `${what}: closed` : undefined, signedOut: true }
  const cause = exit?._tag === "Failure" ? exit.cause[0] : undefined
  if (cause !== undefined && cause._tag !== "Fail")
    return { complaint: `${what}: ${JSON.stringify(exit)}`, signedOut: false }
  return error === undefined && cause === undefined ? fine : faultOf(error ?? cause?.error, what)
})

/**
 * Sends operations of the document with inputs that a seed decides, over HTTP, sockets and RPC, while `goOn` says so. Returns
 * how many were sent and what was wrong: answers of 5xx, defects, and answers that the documents do not describe.
 */
export const fuzz = Effect.fnUntraced(function* (url: string, seed: number, goOn: (sent: number) => boolean) {
  const document: unknown = openApiDocument()
  const all: Calls = operationsOf(document)
  const random = randomOf(seed)
  const { pools, senders } = yield* prepare(url)
  const input = new FuzzInput(document, random, pools)
  const complaints: Array<string> = []
  // The session of a sender may have ended, because operations that end it are sent too.
  const signIn = Effect.fnUntraced(function* (sender: Sender) {
    sender.token = (yield* api(url).login(sender.username, sender.password)).token
    return sender.token
  })
  const sockets = senders.map((sender) => ({
    commands: makeSocket(
      Effect.gen(function* () {
        const socket = yield* connect(url)
        yield* socket.hello(yield* signIn(sender))
        return socket
      })
    ),
    calls: makeSocket(connect(url, { path: "/rpc/ws" }))
  }))
  let sent = 0
  for (; goOn(sent); sent++) {
    const at = input.integer(0, senders.length - 1)
    const sender = senders[at]
    const operation = input.pick(all)
    const own = sockets[at]
    if (sender === undefined || operation === undefined || own === undefined) continue
    const id = `f${++lastId}`
    const way = input.integer(0, 3)
    const answered: Answered = yield* way <= 1
      ? overHttp(url, input, operation, sender.token)
      : Effect.gen(function* () {
          const payload = payloadOf(input, operation)
          const what = `${way === 2 ? "socket" : "rpc"} ${operation.name} ${JSON.stringify(payload)?.slice(0, 400)}`
          if (way === 2)
            return yield* overSocket(yield* own.commands, { id, op: operation.name, data: payload }, id, what)
          const headers = [["authorization", `Bearer ${sender.token}`]]
          const call = { _tag: "Request", id, tag: operation.name, payload, headers }
          return yield* overSocket(yield* own.calls, call, id, what)
        })
    if (answered.complaint !== undefined) complaints.push(`#${sent} ${answered.complaint}`)
    if (answered.signedOut) yield* signIn(sender)
  }
  return { sent, complaints }
})
