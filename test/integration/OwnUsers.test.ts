import { once } from "node:events"
import { assert, it } from "@effect/vitest"
import { TestIssuer, TestService } from "chat-service/testing"
import { Effect, Redacted } from "effect"
import { exchange, issuer, makeApp } from "../../examples/own-users.ts"
import { Chat } from "../../src/client/Client.ts"

const secret = "the secret that the app shares with the chat"

it.live("an app with users of its own embeds the chat", () =>
  Effect.promise(async () => {
    // Everything but the keys is as the settings of another issuer have it.
    const other = await TestIssuer.start({ issuer })
    const { jwksUri: _, algorithms: __, ...settings } = other.settings
    const service = await TestService.start({ auth: { issuers: [{ ...settings, secret: Redacted.make(secret) }] } })
    const person = (id: string, name: string) => ({ id: `session${id}`, user: { id, login: name.toLowerCase(), name } })
    const sessions = new Map([
      ["a", person("1", "Ann")],
      ["b", person("2", "Bob")]
    ])
    const app = makeApp(sessions, secret).listen(0, "127.0.0.1")
    await once(app, "listening")
    const address = app.address()
    const port = address !== null && typeof address === "object" ? address.port : 0
    const open = async (session: string) => {
      const response = await fetch(`http://127.0.0.1:${port}/chat-token`, { headers: { cookie: `session=${session}` } })
      if (response.status !== 200) return response.status
      const chat = new Chat({ url: service.url, tokens: await exchange(service.url, await response.text()) })
      await chat.ready()
      return chat
    }
    assert.strictEqual(await open("nobody"), 401)
    const [ann, bob] = [await open("a"), await open("b")]
    if (typeof ann === "number" || typeof bob === "number") return assert.fail("not signed in")
    const { id } = await ann.ask("conversation.create", { kind: "dm", userId: bob.userId })
    await ann.open(id)
    await ann.send(id, "hello Bob")
    const { items } = await bob.ask("message.list", { conversationId: id })
    assert.deepStrictEqual(
      items.map((message) => ("body" in message ? message.body : "")),
      ["hello Bob"]
    )
    await Promise.all([ann.close(), bob.close()])
    app.close()
    app.closeAllConnections()
    await service.stop()
    await other.stop()
  })
)
