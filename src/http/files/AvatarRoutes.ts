import { Effect, Layer, Schema } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { avatarSizes } from "../../domain/Avatar.ts"
import { Conversation } from "../../domain/Conversation.ts"
import { ConversationId, isUuid } from "../../domain/Ids.ts"
import { invalidData } from "../../domain/InvalidData.ts"
import type { Problem } from "../../domain/Problem.ts"
import { noAvatar } from "../../domain/Refusals.ts"
import type { Principal } from "../../domain/Session.ts"
import { Me } from "../../domain/User.ts"
import { makeActing } from "../../operations/AuditHandlers.ts"
import { actAsHeader } from "../../operations/Callers.ts"
import { ConversationChanges } from "../../services/conversations/ConversationChanges.ts"
import { Avatars } from "../../services/files/Avatars.ts"
import { Users } from "../../services/identity/Users.ts"
import { bearerOf, makeAdmission } from "../edge/Admission.ts"
import { isKnown } from "../edge/Conditional.ts"
import { type FileOfForm, makeFileForm, oneOfSizes } from "./FileForm.ts"

const encodeMe = Schema.encodeSync(Me)
const encodeConversation = Schema.encodeSync(Conversation)

const Group = Schema.Struct({ conversationId: ConversationId })
const Query = Schema.Struct({ size: Schema.optionalKey(oneOfSizes(avatarSizes)) })

/**
 * Makes the function that serves a `PUT` of a picture. `show` puts the path of what is stored into `avatarUrl`, as the
 * operation of that name would.
 */
const makePut = Effect.gen(function* () {
  const acting = yield* makeActing
  const admit = yield* makeAdmission
  const avatars = yield* Avatars
  const readFile = yield* makeFileForm

  return Effect.fnUntraced(function* <A>(
    operation: string,
    conversationId: ConversationId | null,
    show: (principal: Principal, avatarUrl: string) => Effect.Effect<A, Problem>
  ) {
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    const principal = yield* admit(bearerOf(headers), headers[actAsHeader])
    const store = ({ content }: FileOfForm) => avatars.store(principal.userId, conversationId, content)
    const avatarUrl = yield* readFile(store, avatars.release)
    const data = { ...(conversationId !== null && { conversationId }), avatarUrl }
    return yield* Effect.onError(acting(principal, operation, data, show(principal, avatarUrl)), () =>
      Effect.ignore(avatars.release(avatarUrl))
    )
  })
})

/** Serves `GET` and `HEAD /v1/avatars/{id}` to everybody. The path is a new one for each picture, so caches keep it. */
const makeGet = Effect.map(Avatars, (avatars) =>
  Effect.gen(function* () {
    const { headers } = yield* HttpServerRequest.HttpServerRequest
    const { avatarId = "" } = yield* HttpRouter.params
    const { size = avatarSizes[0] } = yield* Effect.mapError(HttpServerRequest.schemaSearchParams(Query), invalidData)
    if (!isUuid(avatarId)) return yield* noAvatar
    const bytes = yield* avatars.read(avatarId, size)
    const etag = `"${avatarId}-${size}"`
    const shared = {
      etag,
      "cache-control": "public, max-age=31536000, immutable",
      "content-security-policy": "sandbox; default-src 'none'",
      "cross-origin-resource-policy": "cross-origin"
    }
    if (isKnown(headers, etag)) return HttpServerResponse.empty({ status: 304, headers: shared })
    return HttpServerResponse.uint8Array(bytes, { contentType: "image/webp", headers: shared })
  })
)

/** The routes of the pictures of users and groups, which only HTTP has. */
export const AvatarRoutes = Layer.unwrap(
  Effect.gen(function* () {
    const changes = yield* ConversationChanges
    const users = yield* Users
    const put = yield* makePut
    const ofUser = put("user.update", null, ({ userId }, avatarUrl) =>
      Effect.map(users.update(userId, { avatarUrl }), encodeMe)
    )
    const ofGroup = Effect.gen(function* () {
      const { conversationId } = yield* Effect.mapError(HttpRouter.schemaPathParams(Group), invalidData)
      return yield* put("conversation.update", conversationId, ({ userId }, avatarUrl) =>
        Effect.map(changes.update(userId, conversationId, { avatarUrl }), encodeConversation)
      )
    })
    const answer = (body: unknown) => HttpServerResponse.jsonUnsafe(body)
    return Layer.mergeAll(
      HttpRouter.add("PUT", "/v1/users/me/avatar", Effect.map(ofUser, answer)),
      HttpRouter.add("PUT", "/v1/conversations/:conversationId/avatar", Effect.map(ofGroup, answer)),
      HttpRouter.add("GET", "/v1/avatars/:avatarId", yield* makeGet)
    )
  })
)
