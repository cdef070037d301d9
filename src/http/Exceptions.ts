import { Effect, Schema, type Scope, Stream } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder, type HttpApiEndpoint } from "effect/http-api"
import { Conversation, Member } from "../domain/Conversation.ts"
import { UserId } from "../domain/Ids.ts"
import type { Problem } from "../domain/Problem.ts"
import type { Tokens } from "../domain/Session.ts"
import type { Declared } from "../operations/Api.ts"
import { accessTokenCookie, actorOf, CurrentPrincipal, CurrentService } from "../operations/Callers.ts"
import { type Caller, makeCallByName } from "../operations/Calls.ts"
import { CreatedListener } from "../operations/Created.ts"
import { EventStreams } from "../realtime/EventStreams.ts"
import { AccountExport } from "../services/admin/AccountExport.ts"
import { allowsPage } from "../services/platform/Origins.ts"
import { Settings } from "../services/platform/Settings.ts"

type EndpointNamed<Name> = Exclude<Extract<Declared, { readonly name: Name }>["endpoint"], undefined>

/** What an endpoint needs of the request that it serves. */
type Served = Caller | HttpServerRequest.HttpServerRequest | Scope.Scope

/** Serves a request of an endpoint. */
export type Handler = (request: HttpApiEndpoint.Request<HttpApiEndpoint.Top>) => Effect.Effect<unknown, Problem, Served>

/** Handlers of operations by name, each for the request and the answer of its own endpoint. */
export type Exceptions = {
  readonly [Name in Declared["name"]]?: (
    request: HttpApiEndpoint.Request<EndpointNamed<Name>>
  ) => Effect.Effect<
    HttpApiEndpoint.SuccessWithIdentifier<EndpointNamed<Name>, string> | HttpServerResponse.HttpServerResponse,
    Problem,
    Served
  >
}

/** Answers 201 when the handler reports that the call made something new, and 200 otherwise. */
const withStatus = <S extends Schema.Top, E, R>(schema: S, call: Effect.Effect<S["Type"], E, R>) =>
  Effect.suspend(() => {
    let status = 200
    return call.pipe(
      Effect.provideService(CreatedListener, (created) => {
        status = created ? 201 : 200
      }),
      Effect.flatMap((answer) => Effect.orDie(Schema.encodeEffect(schema)(answer))),
      Effect.map((body) => HttpServerResponse.jsonUnsafe(body, { status }))
    )
  })

const decodeUserIds = Schema.decodeSync(Schema.Array(UserId))

const userIdsOf = ({ userIds }: { readonly userIds: string | ReadonlyArray<string> }) => {
  const ids = [userIds].flat().flatMap((text) => text.split(","))
  return decodeUserIds(ids.filter((text) => text !== ""))
}

const Members = Schema.Struct({ items: Schema.Array(Member) })

/** Browsers that ask from a page of an allowed origin keep the access token in a cookie, which scripts cannot read. */
const makeCookies = Effect.gen(function* () {
  const { server } = yield* Settings
  const allows = allowsPage(server)
  const set = (token: string, maxAgeSeconds: number) =>
    HttpApiBuilder.securitySetCookie(accessTokenCookie, token, {
      secure: server.origin.startsWith("https:"),
      sameSite: "lax",
      path: "/",
      maxAge: `${maxAgeSeconds} seconds`
    })
  return {
    /** Browsers say from which page they ask; other clients have no use for the cookie. */
    give: Effect.fnUntraced(function* (tokens: Pick<Tokens, "accessToken" | "expiresIn">) {
      const { headers } = yield* HttpServerRequest.HttpServerRequest
      if (allows(headers)) yield* set(tokens.accessToken, tokens.expiresIn)
    }),
    take: Effect.gen(function* () {
      const { headers } = yield* HttpServerRequest.HttpServerRequest
      if (headers.cookie !== undefined) yield* set("", 0)
    })
  }
})

/** The operations that HTTP serves in its own way, each with the reason. All others follow from their declarations. */
export const makeExceptions = Effect.gen(function* () {
  const call = yield* makeCallByName
  const cookies = yield* makeCookies
  const streams = yield* EventStreams
  const exports = yield* AccountExport

  const exceptions: Exceptions = {
    // Only HTTP has cookies.
    "auth.login": ({ payload }) => Effect.tap(call("auth.login", payload), cookies.give),
    "auth.exchange": ({ payload }) =>
      Effect.tap(call("auth.exchange", payload), ({ access_token, expires_in }) =>
        cookies.give({ accessToken: access_token, expiresIn: expires_in })
      ),
    "invite.guest": ({ params, payload }) => Effect.tap(call("invite.guest", { ...params, ...payload }), cookies.give),
    "auth.refresh": ({ payload }) => Effect.tap(call("auth.refresh", payload), cookies.give),
    "auth.logout": () => Effect.andThen(call("auth.logout", undefined), cookies.take),

    // Only HTTP has statuses: these say whether something is new, and a Schema cannot choose between two that are alike.
    "conversation.create": ({ headers, payload }) => {
      const key = headers["idempotency-key"]
      const request = payload.kind === "group" && key !== undefined ? { ...payload, idempotencyKey: key } : payload
      return withStatus(Conversation, call("conversation.create", request))
    },
    "member.add": ({ params, payload }) => withStatus(Members, call("member.add", { ...params, ...payload })),
    "invite.accept": ({ params }) => withStatus(Conversation, call("invite.accept", params)),

    // HTTP has one resource where the other transports have two operations.
    "message.delete": ({ params, query }) =>
      query.for === "me" ? call("message.hide", params) : call("message.delete", params),
    "typing.start": ({ params, payload }) =>
      payload?.state === "stopped" ? call("typing.stop", params) : call("typing.start", params),

    // The body has the target's id under its plain name, because the path has that of the message.
    "message.forward": ({ params, payload: { clientMessageId, conversationId } }) =>
      call("message.forward", { ...params, clientMessageId, toConversationId: conversationId }),

    // A query holds texts, which clients write with commas or one by one.
    "presence.get": ({ query }) => call("presence.get", { userIds: userIdsOf(query) }),
    "user.list": ({ query }) => call("user.list", { userIds: userIdsOf(query) }),

    // A stream has no handler that all transports share. What fails after its first line can only end the answer.
    "admin.exportAccount": ({ params }) =>
      Effect.gen(function* () {
        const lines = yield* exports.open(actorOf(yield* CurrentService), params.userId)
        return lines.pipe(
          Stream.tapError(() => Effect.logWarning("an export was cut short: the database does not answer")),
          Stream.orDie
        )
      }),

    // Server-Sent Events: the cursor is a header, and the answer never ends.
    "events.stream": ({ headers }) =>
      Effect.flatMap(CurrentPrincipal, (principal) => streams.open(principal, headers["last-event-id"]))
  }
  return exceptions
})
