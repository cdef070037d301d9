import type { Effect, Stream } from "effect"
import type { RpcClient, RpcGroup } from "effect/rpc"
import { assert, describe, expectTypeOf, it } from "vitest"
import type { ChatHttp } from "../../src/client/Http.ts"
import type { Conversation, Membership } from "../../src/domain/Conversation.ts"
import type { ConversationId, MessageId } from "../../src/domain/Ids.ts"
import type { Message, Sent } from "../../src/domain/Message.ts"
import type { ServerEvent } from "../../src/domain/ServerEvent.ts"
import { Api } from "../../src/operations/Api.ts"
import { AllOperations, features } from "../../src/operations/Operations.ts"

type Rpcs = RpcClient.RpcClient<RpcGroup.Rpcs<typeof AllOperations>>

/** The parts of a request that a call takes. */
type RequestOf<F> = F extends (request: infer Request) => unknown ? Request : never
type AnswerOf<F> = F extends (...args: never) => Effect.Effect<infer A, infer _E, infer _R> ? A : never
type ErrorOf<F> = F extends (...args: never) => Effect.Effect<infer _A, infer E, infer _R> ? E : never

describe("one declaration of an operation", () => {
  it("gives the HTTP client its parts, answer and problems", () => {
    expectTypeOf<RequestOf<ChatHttp["message"]["pin"]>["params"]>().toEqualTypeOf<{
      readonly conversationId: ConversationId
      readonly messageId: MessageId
    }>()
    expectTypeOf<RequestOf<ChatHttp["pin"]["list"]>["query"]>().toEqualTypeOf<{
      readonly limit?: number
      readonly cursor?: string
    }>()
    expectTypeOf<RequestOf<ChatHttp["invite"]["create"]>["headers"]>().toEqualTypeOf<{
      readonly "idempotency-key"?: string
    }>()
    expectTypeOf<"payload" extends keyof RequestOf<ChatHttp["presence"]["get"]> ? true : false>().toEqualTypeOf<false>()
    const settings = (http: ChatHttp, params: { readonly conversationId: ConversationId }) =>
      http.conversation.settings({ params, payload: { archived: true } })
    expectTypeOf<AnswerOf<typeof settings>>().toEqualTypeOf<Membership>()
    expectTypeOf<Extract<ErrorOf<ChatHttp["reaction"]["add"]>, { readonly _tag: "Conflict" }>>().not.toBeNever()
    expectTypeOf<Extract<ErrorOf<ChatHttp["reaction"]["remove"]>, { readonly _tag: "Conflict" }>>().toBeNever()
    expectTypeOf<ChatHttp>().toHaveProperty("health")
  })

  it("gives the RPC client one payload of the same parts", () => {
    expectTypeOf<Parameters<Rpcs["member.leave"]>[0]>().toEqualTypeOf<{ readonly conversationId: ConversationId }>()
    expectTypeOf<Parameters<Rpcs["message.edit"]>[0]>().toEqualTypeOf<{
      readonly conversationId: ConversationId
      readonly messageId: MessageId
      readonly body: string
    }>()
    expectTypeOf<AnswerOf<Rpcs["message.send"]>>().toEqualTypeOf<Sent>()
    expectTypeOf<AnswerOf<Rpcs["message.get"]>>().toEqualTypeOf<Message>()
    expectTypeOf<AnswerOf<Rpcs["conversation.create"]>>().toEqualTypeOf<Conversation>()
    const stream = (rpc: Rpcs) => rpc["events.stream"]({})
    expectTypeOf<Stream.Success<ReturnType<typeof stream>>>().toEqualTypeOf<ServerEvent>()
  })

  it("stands in the list of features once, and in the group of its first word", () => {
    const names = features.flatMap(({ operations }) => operations.map(({ name }) => name))
    assert.strictEqual(new Set(names).size, names.length)
    assert.deepStrictEqual(names.toSorted(), [...AllOperations.requests.keys()].toSorted())
    const endpoints = Object.values(Api.groups).flatMap(({ endpoints, identifier }) =>
      Object.keys(endpoints).map((endpoint) => `${identifier}.${endpoint}`)
    )
    const notOverHttp = ["delivered.mark", "message.hide", "typing.stop"]
    assert.deepStrictEqual(
      endpoints.toSorted(),
      [
        ...names.filter((name) => !notOverHttp.includes(name)),
        "system.health",
        "system.jwks",
        "system.ready"
      ].toSorted()
    )
  })
})
