import { Context, Schema } from "effect"
import { HttpApiEndpoint, HttpApiSchema, OpenApi } from "effect/http-api"
import { Rpc, RpcGroup, type RpcSchema } from "effect/rpc"
import { IdempotencyKey } from "../domain/Conversation.ts"
import type { ServiceScope } from "../domain/ServiceToken.ts"
import {
  Anybody,
  Authorization,
  JsonBody,
  Public,
  RequiredScope,
  ServiceAuthorization,
  SignedIn,
  WithServiceToken,
  WrittenAsIs
} from "./Callers.ts"

type Fields = Schema.Struct.Fields
type NoFields = Record<never, never>
type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE"

/** Whether a payload or an answer is nothing. */
export const isVoid = ({ ast }: Pick<Schema.Top, "ast">): boolean => ast._tag === "Void"

/** How an operation looks over HTTP where that differs from its payload and its answer. */
interface OverHttp {
  /** The parameters of the query, or null when there are none. */
  readonly query?: Fields | null
  readonly payload?: Schema.Top
  readonly headers?: Fields
  /** All answers that succeed, each with its own status. */
  readonly success?: Schema.Top | ReadonlyArray<Schema.Top>
}

/** The declaration of an operation. RPC and sockets get the fields of path, query and body as one payload. */
interface Options {
  /** The method and the path over HTTP. An operation without them is not served there. */
  readonly http?: `${Method} /${string}`
  /** The parameters of the path. */
  readonly params?: Fields
  /** The parameters of the query. */
  readonly query?: Fields
  /** The body. */
  readonly payload?: Schema.Top
  /** Whether HTTP requests may leave out the body. */
  readonly optionalBody?: true
  /**
   * The effect of an idempotency key. HTTP has it in the header `Idempotency-Key`, the other transports in the payload
   * as `idempotencyKey`.
   */
  readonly idempotencyKey?: string
  /** The answer. An operation without it answers nothing: 204 over HTTP, `{}` over a socket. */
  readonly success?: Schema.Top
  /** Whether the answer is a stream of these, over RPC. */
  readonly stream?: true
  /** The status of the answer over HTTP when it is not 200 or 204. */
  readonly status?: 201
  /**
   * Whether HTTP and sockets write the answer as it is. The service must build exactly its encoded form: no Schema looks
   * at the answer, or drops a field that is not declared.
   */
  readonly asIs?: true
  /** The problems that the operation can answer with. */
  readonly problems: readonly [Schema.Top, ...ReadonlyArray<Schema.Top>]
  /** Whether the operation needs no session. */
  readonly open?: true
  /** The scope of the service token that the operation needs in place of a session. */
  readonly scope?: ServiceScope
  readonly overHttp?: OverHttp
  readonly summary: string
  readonly description: string
}

/** The Schema or the fields at a key of the options, or `never`. */
type At<O, Key extends string> = O extends { readonly [K in Key]: infer S } ? S : never
type FieldsAt<O, Key extends string> = O extends { readonly [K in Key]: infer F extends Fields } ? F : NoFields
type Flat<F> = { readonly [K in keyof F]: F[K] }

type KeyField<O> = O extends { readonly idempotencyKey: string }
  ? { readonly idempotencyKey: Schema.optionalKey<typeof IdempotencyKey> }
  : NoFields
type BodyFields<O> = O extends { readonly payload: { readonly fields: infer F extends Fields } } ? F : NoFields
type Outside<O> = FieldsAt<O, "params"> & FieldsAt<O, "query"> & KeyField<O>

/** The payload for RPC: all fields in one, or the body as it is when that is everything. */
type PayloadOf<O> = keyof Outside<O> extends never
  ? O extends { readonly payload: infer P extends Schema.Top }
    ? P
    : Schema.Void
  : Flat<Outside<O> & BodyFields<O>> extends infer F extends Fields
    ? Schema.Struct<F>
    : never

type SuccessOf<O> = O extends { readonly success: infer S extends Schema.Top } ? S : Schema.Void
type ErrorOf<O extends Options> = Schema.Union<O["problems"]>
type MiddlewareOf<O> = O extends { readonly open: true }
  ? typeof Anybody
  : O extends { readonly scope: ServiceScope }
    ? typeof WithServiceToken
    : typeof SignedIn

type RpcOf<Name extends string, O extends Options> = O extends { readonly stream: true }
  ? Rpc.Rpc<Name, PayloadOf<O>, RpcSchema.Stream<SuccessOf<O>, ErrorOf<O>>, typeof Schema.Never, MiddlewareOf<O>>
  : Rpc.Rpc<Name, PayloadOf<O>, SuccessOf<O>, ErrorOf<O>, MiddlewareOf<O>>

type OverHttpAt<O, Key extends string> = O extends { readonly overHttp: { readonly [K in Key]: infer S } }
  ? S
  : At<O, Key>
type HttpPayloadOf<O> = OverHttpAt<O, "payload"> | (O extends { readonly optionalBody: true } ? Schema.Null : never)
type HttpHeadersOf<O> = O extends { readonly idempotencyKey: string }
  ? { readonly "idempotency-key": Schema.optionalKey<typeof IdempotencyKey> }
  : At<At<O, "overHttp">, "headers">
type HttpSuccessOf<O> =
  OverHttpAt<O, "success"> extends infer S ? (S extends ReadonlyArray<infer Each> ? Each : S) : never

type StringTree<F> = [F] extends [never]
  ? never
  : [F] extends [Fields]
    ? Schema.toCodecStringTree<Schema.Struct<F>>
    : never
type Json<S> = [S] extends [never] ? never : [S] extends [Schema.Constraint] ? Schema.toCodecJson<S> : never
type Success<S> = [S] extends [never]
  ? typeof HttpApiSchema.NoContent
  : S extends HttpApiSchema.StreamSchema
    ? S
    : Json<S>

type Identifier<Name> = Name extends `${string}.${infer Rest}` ? Rest : never

type EndpointOf<Name extends string, O extends Options> = O extends {
  readonly http: `${infer M extends Method} ${infer Path}`
}
  ? HttpApiEndpoint.HttpApiEndpoint<
      Identifier<Name>,
      M,
      Path,
      StringTree<At<O, "params">>,
      StringTree<OverHttpAt<O, "query">>,
      Json<HttpPayloadOf<O>>,
      StringTree<HttpHeadersOf<O>>,
      Success<HttpSuccessOf<O>>,
      Schema.toCodecJson<O["problems"][number]>,
      | (O extends { readonly open: true }
          ? Public
          : O extends { readonly scope: ServiceScope }
            ? ServiceAuthorization
            : Authorization)
      | ([HttpPayloadOf<O>] extends [never] ? never : JsonBody)
    >
  : undefined

/** One operation, in the form for each transport. It is exported because the declarations of the client package name it. */
export interface Operation<
  out Name extends string,
  out R extends Rpc.Any,
  out Endpoint extends HttpApiEndpoint.Constraint | undefined
> {
  /** The name over RPC and sockets, and the operation id over HTTP. */
  readonly name: Name
  readonly rpc: R
  /** The HTTP endpoint; undefined when HTTP does not serve the operation. */
  readonly endpoint: Endpoint
  /** Whether it changes nothing. */
  readonly reads: boolean
}

/** Any operation. */
export type AnyOperation = Operation<string, Rpc.Any, HttpApiEndpoint.Constraint | undefined>

const fieldsOf = (schema: Schema.Top | undefined): Fields =>
  schema !== undefined && "fields" in schema ? Object(schema.fields) : {}

const payloadOf = ({ idempotencyKey, params, payload, query }: Options): Schema.Top => {
  const outside: Fields = {
    ...params,
    ...query,
    ...(idempotencyKey !== undefined && { idempotencyKey: Schema.optionalKey(IdempotencyKey) })
  }
  return Object.keys(outside).length === 0
    ? (payload ?? Schema.Void)
    : Schema.Struct({ ...outside, ...fieldsOf(payload) })
}

/** The texts for the documents, the scope, which admission needs, and what the transports do with the answer. */
const documentation = ({ asIs, description, scope, summary }: Options) => {
  const texts = Context.add(OpenApi.annotations({ summary, description }), WrittenAsIs, asIs === true)
  return scope === undefined ? texts : Context.add(texts, RequiredScope, scope)
}

const rpcOf = (name: string, options: Options) => {
  const { open, problems, scope, stream = false, success = Schema.Void } = options
  const error = Schema.Union(problems)
  return Rpc.make(name, { payload: payloadOf(options), success, error, stream })
    .middleware<typeof Anybody | typeof SignedIn | typeof WithServiceToken>(
      open ? Anybody : scope === undefined ? SignedIn : WithServiceToken
    )
    .annotateMerge(documentation(options))
}

const isMethod = (text: string | undefined): text is Method =>
  ["GET", "POST", "PUT", "PATCH", "DELETE"].some((method) => method === text)

const endpointOf = (name: string, route: string, options: Options): HttpApiEndpoint.Constraint => {
  const [method, path] = route.split(" ")
  if (!isMethod(method) || !path?.startsWith("/")) throw new Error(`${name} has the route ${route}`)
  const { idempotencyKey, open, optionalBody, overHttp = {}, params, problems, scope, status, success } = options
  const payload = overHttp.payload ?? options.payload
  const answer = success === undefined || status === undefined ? success : success.pipe(HttpApiSchema.status(status))
  const key = Schema.optionalKey(IdempotencyKey).annotate({ description: idempotencyKey ?? "" })
  const endpoint = HttpApiEndpoint.make(method)(name.slice(name.indexOf(".") + 1), `/${path.slice(1)}`, {
    params,
    query: overHttp.query === undefined ? options.query : (overHttp.query ?? undefined),
    headers: idempotencyKey === undefined ? overHttp.headers : { "idempotency-key": key },
    payload: payload === undefined ? undefined : optionalBody ? [payload, Schema.Null] : payload,
    success: overHttp.success ?? answer,
    error: problems
  }).annotateMerge(documentation(options))
  const checked = payload === undefined ? endpoint : endpoint.middleware(JsonBody)
  if (open) return checked.middleware(Public)
  return scope === undefined ? checked.middleware(Authorization) : checked.middleware(ServiceAuthorization)
}

/**
 * Declares an operation once for all transports: an RPC, which is a command of sockets too, and an HTTP endpoint. The
 * name is `<group>.<endpoint>`.
 */
export function operation<const Name extends `${string}.${string}`, const O extends Options>(
  name: Name,
  options: O
): Operation<Name, RpcOf<Name, O>, EndpointOf<Name, O>>
export function operation(
  name: string,
  options: Options
): Operation<string, Rpc.Any, HttpApiEndpoint.Constraint | undefined> {
  const endpoint = options.http === undefined ? undefined : endpointOf(name, options.http, options)
  const reads = options.http?.startsWith("GET ") ?? false
  return { name, rpc: rpcOf(name, options), endpoint, reads }
}

/**
 * The operations of one feature, which share a file and its handlers. It is exported because the declarations of the
 * client package name it.
 */
export interface Feature<Ops extends AnyOperation> {
  /** What each group of the HTTP API that the operations belong to is about. */
  readonly groups: Readonly<Record<string, string>>
  readonly operations: ReadonlyArray<Ops>
  readonly rpcs: RpcGroup.RpcGroup<Ops["rpc"]>
}

/** Puts the operations of one feature together. */
export const feature = <const Ops extends ReadonlyArray<AnyOperation>>(
  groups: Readonly<Record<string, string>>,
  ...operations: Ops
): Feature<Ops[number]> => {
  const all: ReadonlyArray<Ops[number]> = operations
  return { groups, operations, rpcs: RpcGroup.make(...all.map(({ rpc }): Ops[number]["rpc"] => rpc)) }
}
