/**
 * An app that has users of its own and lets them chat: it signs a token for the user of each of its sessions, and the page
 * gives a function that fetches it to the client. The chat trusts the app by this setting:
 *
 *   auth: { issuers: [{ issuer: "https://app.example.com", audience: chat, secret_file: /run/secrets/chat-issuer }] }
 *
 * The server is a plain one of Node, so that the example needs nothing else. Express, Fastify and the like call such a
 * function as it is: `express().get("/chat-token", chatToken(sessions, secret))`.
 */
import type { RequestListener } from "node:http"
import { Chat } from "chat-service/client"
import { SignJWT } from "jose"

/** What the app knows about a session of one of its users, whom it has signed in by means of its own. */
interface Session {
  readonly id: string
  readonly user: { readonly id: string; readonly login: string; readonly name: string }
}

/** The name of the app, by which the chat finds its secret. */
export const issuer = "https://app.example.com"

/** Signs a token for the chat. It names the session, so that the user can end it among their devices. */
const sign = ({ id, user }: Session, secret: string) =>
  new SignJWT({ sid: id, preferred_username: user.login, name: user.name })
    .setProtectedHeader({ alg: "HS256" })
    .setIssuer(issuer)
    .setAudience("chat")
    .setSubject(user.id)
    .setIssuedAt()
    .setExpirationTime("1h")
    .sign(new TextEncoder().encode(secret))

/** Gives a signed-in page the token of its user. */
export const chatToken =
  (sessions: ReadonlyMap<string, Session>, secret: string): RequestListener =>
  async (request, response) => {
    const session = sessions.get(/session=(\w+)/.exec(request.headers.cookie ?? "")?.[1] ?? "")
    if (session === undefined) {
      response.writeHead(401).end()
      return
    }
    response.writeHead(200, { "content-type": "text/plain", "cache-control": "no-store" })
    response.end(await sign(session, secret))
  }

/** What the page does. `cookie` is what a browser sends by itself to the server of the app. */
export const openChat = (url: string, app: string, cookie: string) =>
  new Chat({
    url,
    token: async () => {
      const response = await fetch(`${app}/chat-token`, { headers: { cookie } })
      if (!response.ok) throw new Error(`the app gives no token: ${response.status}`)
      return response.text()
    }
  })
