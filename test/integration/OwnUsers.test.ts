import { once } from "node:events"
import { assert, it } from "@effect/vitest"
import { TestIssuer, TestService } from "chat-service/testing"
import { Effect, Redacted } from "effect"
import { issuer, makeApp, openChat } from "../../examples/own-users.ts"

const secret = "the secret that the app shares with the chat"

it.live("an Express app with users of its own embeds the chat", () =>
  Effect.promise(async () => {
    // Everything but the keys is as the settings of another issuer have it.
    const other = await TestIssuer.start({ issuer })
    const { jwksUri: _, algorithms: __, ...settings } = other.settings
    const service = await TestService.start({ auth: { issuers: [{ ...settings, secret: Redacted.make(secret) }] } })
    const person = (id: string, name: string) => ({ id, login: name.toLowerCase(), name, password: `${name}'s` })
    const app = makeApp([person("1", "Ann"), person("2", "Bob")], secret).listen(0, "127.0.0.1")
    await once(app, "listening")
    const address = app.address()
    const port = address !== null && typeof address === "object" ? address.port : 0
    const appUrl = `http://127.0.0.1:${port}`
    const logIn = (login: string, password: string) =>
      fetch(`${appUrl}/login`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ login, password })
      })
    const open = async (login: string, password: string) => {
      const [cookie = ""] = (await logIn(login, password)).headers.getSetCookie()
      return openChat(service.url, appUrl, cookie.split(";", 1)[0] ?? "")
    }
    const ann = await open("ann", "Ann's")
    const bob = await open("bob", "Bob's")
    const nobody = await open("ann", "a guess")
    await Promise.all([ann.ready(), bob.ready()])
    assert.strictEqual(ann.state.me?.displayName, "Ann")
    const { id } = await ann.ask("conversation.create", { kind: "dm", userId: bob.userId })
    await ann.open(id)
    await ann.send(id, "hello Bob")
    const { items } = await bob.ask("message.list", { conversationId: id })
    assert.deepStrictEqual(
      items.map((message) => ("body" in message ? message.body : "")),
      ["hello Bob"]
    )
    // The app gives no token to whom it does not know, and the client goes on asking.
    assert.strictEqual((await fetch(`${appUrl}/chat-token`)).status, 401)
    assert.deepStrictEqual([nobody.state.connection.status, nobody.userId], ["connecting", ""])
    await Promise.all([ann, bob, nobody].map((chat) => chat.close()))
    app.close()
    app.closeAllConnections()
    await service.stop()
    await other.stop()
  })
)
