import { connect } from "node:net"
import { Context, Effect, Layer, Logger, References, Schema } from "effect"
import { HttpServer } from "effect/http"
import { NetAddress } from "effect/net"
import { Issue } from "../../src/domain/Problem.ts"
import * as Server from "../../src/http/server/Server.ts"
import { makeLogger } from "../../src/layers/telemetry/Logging.ts"
import { RpcRoutes } from "../../src/rpc/RpcRoutes.ts"
import { fakeServices } from "../../src/testing/FakeServices.ts"
import type { SettingsOverrides } from "../../src/testing/memory/Settings.ts"
import { someone } from "./Accounts.ts"
import { mustBeDescribed } from "./Documented.ts"

const Json = Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown))

const ProblemBody = Schema.fromJsonString(
  Schema.Struct({
    type: Schema.String,
    title: Schema.String,
    status: Schema.Int,
    requestId: Schema.String,
    detail: Schema.optionalKey(Schema.String),
    errors: Schema.optionalKey(Schema.Array(Issue)),
    code: Schema.optionalKey(Schema.String),
    id: Schema.optionalKey(Schema.String)
  })
)

/** An answer, with its body decoded as the test expects it. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly json: Record<string, unknown>
  readonly problem: (typeof ProblemBody)["Type"]
}

/** A request: a GET, or a POST when it has `json`, unless it says otherwise. */
export interface Ask {
  readonly method?: string
  readonly token?: string
  readonly json?: unknown
  readonly body?: RequestInit["body"]
  readonly headers?: Record<string, string>
  /** The answer must match `/openapi.json`, unless this is false. */
  readonly described?: boolean
}

/** The service as its network clients see it, and the lines of its log. */
export class HttpService extends Context.Service<
  HttpService,
  {
    readonly port: number
    readonly url: string
    /** Makes a request. An answer with an error status does not fail. */
    readonly ask: (path: string, ask?: Ask) => Effect.Effect<Answer>
    /** Writes these bytes to a new connection, and returns everything that comes back until the other side ends it. */
    readonly raw: (...parts: ReadonlyArray<string | Uint8Array>) => Effect.Effect<string>
    readonly log: ReadonlyArray<Record<string, unknown>>
  }
>()("chat/test/HttpService") {}

const toAnswer = async (response: Response): Promise<Answer> => {
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    text,
    get json() {
      return Schema.decodeSync(Json)(text)
    },
    get problem() {
      return Schema.decodeSync(ProblemBody)(text)
    }
  }
}

const make = (log: ReadonlyArray<Record<string, unknown>>) =>
  Effect.gen(function* () {
    const { address } = yield* HttpServer.HttpServer
    if (NetAddress.isUnixPathAddress(address)) return yield* Effect.die("a unix socket")
    const { port } = address
    const url = `http://127.0.0.1:${port}`
    return HttpService.of({
      port,
      url,
      log,
      ask: (
        path,
        { body, described = true, headers, json, method = json === undefined ? "GET" : "POST", token } = {}
      ) =>
        Effect.promise(async () => {
          const response = await fetch(url + path, {
            method,
            redirect: "manual",
            headers: {
              ...(json !== undefined && { "content-type": "application/json" }),
              ...(token !== undefined && { authorization: `Bearer ${token}` }),
              ...headers
            },
            ...(body !== undefined && { body, duplex: "half" }),
            ...(json !== undefined && { body: JSON.stringify(json) })
          })
          const answer = await toAnswer(response)
          const { status, text } = answer
          if (described) mustBeDescribed({ method, path, status, headers: answer.headers, text })
          return answer
        }),
      raw: (...parts) =>
        Effect.callback<string>((resume) => {
          const socket = connect(port, "127.0.0.1")
          let received = ""
          socket.setEncoding("latin1")
          socket.on("data", (chunk) => {
            received += String(chunk)
          })
          socket.on("error", () => {})
          socket.on("close", () => resume(Effect.succeed(received)))
          for (const part of parts) socket.write(part)
          return Effect.sync(() => socket.destroy())
        })
    })
  })

/** Serves routes on a free port. `Settings` must ask for port 0. */
export const httpService = <A, E, R>(routes: Layer.Layer<A, E, R>) => {
  const log: Array<Record<string, unknown>> = []
  return Layer.effect(HttpService, make(log)).pipe(
    Layer.provideMerge(Server.serve(routes)),
    Layer.provide(Server.layerServer),
    Layer.provide(Logger.layer([makeLogger("json", (line) => log.push(Schema.decodeSync(Json)(line)))])),
    Layer.provide(Layer.succeed(References.MinimumLogLevel, "Debug"))
  )
}

/** All routes, on the fakes. */
export const fakeService = (overrides: SettingsOverrides = {}) =>
  httpService(Layer.merge(Server.HttpRoutes, RpcRoutes)).pipe(Layer.provideMerge(fakeServices(overrides)))

/** A user who has registered and signed in over HTTP. */
export const newcomer = Effect.fnUntraced(function* (name?: string) {
  const { ask } = yield* HttpService
  const { ip: _, ...person } = someone(name)
  const registered = yield* ask("/v1/auth/register", { json: person })
  const login = yield* ask("/v1/auth/login", { json: { login: person.username, password: person.password } })
  return {
    ...person,
    id: String(registered.json.id),
    token: String(login.json.accessToken),
    refreshToken: String(login.json.refreshToken),
    sessionId: String(login.json.sessionId)
  }
})
