import { randomUUID } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { ClientMessageId, ConversationId } from "../../src/domain/Ids.ts"
import { api, connect } from "../support/Client.ts"
import { uploadTo } from "../support/Files.ts"
import { gatewayService, Service } from "../support/GatewayService.ts"
import { rpcClient, withToken } from "../support/Rpc.ts"

layer(gatewayService(), { excludeTestServices: true })("attachments", (it) => {
  it.effect("are sent over HTTP, WebSocket and RPC, and reach everybody with their message", () =>
    Effect.gen(function* () {
      const { url } = yield* Service
      const http = api(url)
      const [ann, bob] = [yield* http.register("ann"), yield* http.register("bob")]
      const conversationId = yield* http.dm(ann, bob)
      const [sender, receiver] = [yield* connect(url), yield* connect(url)]
      yield* sender.ready(ann.token)
      yield* receiver.ready(bob.token)
      const rpc = yield* rpcClient(url, "http")
      const message = (id: string) => ({ clientMessageId: randomUUID(), body: "", type: "image", attachments: [id] })
      const transports = {
        http: (id: string) =>
          http.must("POST", `/v1/conversations/${conversationId}/messages`, { token: ann.token, json: message(id) }),
        websocket: (id: string) => sender.ok("message.send", { conversationId, ...message(id) }),
        rpc: (_: string, attachment: Effect.Success<ReturnType<typeof uploadTo>>) =>
          rpc["message.send"]({
            conversationId: ConversationId.make(conversationId),
            clientMessageId: ClientMessageId.make(randomUUID()),
            body: "",
            type: "image",
            attachments: [attachment.id]
          }).pipe(withToken(ann.token))
      }
      for (const send of Object.values(transports)) {
        const attachment = yield* uploadTo(url, ann.token)
        yield* send(attachment.id, attachment)
        const { json } = yield* receiver.event("message.created", conversationId)
        assert.deepStrictEqual(Object(json).data.message.attachments, [attachment])
      }
    }).pipe(Effect.scoped)
  )

  it.effect("do not let a later message of the same socket overtake", () =>
    Effect.gen(function* () {
      const { url } = yield* Service
      const http = api(url)
      const ann = yield* http.register("ann")
      const conversationId = yield* http.dm(ann, ann)
      const client = yield* connect(url)
      yield* client.ready(ann.token)
      const files = yield* Effect.replicateEffect(uploadTo(url, ann.token), 5)
      for (const [index, { id }] of files.entries()) {
        const data = { conversationId, body: "", type: "file", attachments: [id], clientMessageId: `file-${index}` }
        client.send({ id: index * 2, op: "message.send", data })
        const text = { conversationId, body: "text", clientMessageId: `text-${index}` }
        client.send({ id: index * 2 + 1, op: "message.send", data: text })
      }
      const order: Array<string> = []
      while (order.length < files.length * 2) {
        const { data } = yield* client.event("message.created", conversationId)
        order.push(data?.message?.clientMessageId ?? "")
      }
      assert.deepStrictEqual(
        order,
        files.flatMap((_, index) => [`file-${index}`, `text-${index}`])
      )
    }).pipe(Effect.scoped)
  )
})
