/**
 * An Express app that has users of its own and lets them chat: it signs a token for the user of each of its sessions, and the
 * page gives a function that fetches it to the client. The chat trusts the app by this setting:
 *
 *   auth: { issuers: [{ issuer: "https://app.example.com", audience: chat, secret_file: /run/secrets/chat-issuer }] }
 */
import { randomUUID } from "node:crypto"
import { Chat } from "chat-service/client"
import express, { type Express, type Request } from "express"
import { SignJWT } from "jose"

/** A user of the app. */
interface User {
  readonly id: string
  readonly login: string
  readonly name: string
  readonly password: string
}

/** The name of the app, by which the chat finds its secret. */
export const issuer = "https://app.example.com"

/** Signs a token for the chat. It names the session, so that the user can end it among their devices. */
const sign = (session: string, user: User, secret: string) =>
  new SignJWT({ sid: session, preferred_username: user.login, name: user.name })
    .setProtectedHeader({ alg: "HS256" })
    .setIssuer(issuer)
    .setAudience("chat")
    .setSubject(user.id)
    .setIssuedAt()
    .setExpirationTime("1h")
    .sign(new TextEncoder().encode(secret))

const cookieOf = (request: Request) => /(?:^|; )session=([\w-]+)/.exec(request.headers.cookie ?? "")?.[1] ?? ""

/** The app: it signs users in by means of its own (here a list), and gives a signed-in page the token of its user. */
export const makeApp = (users: ReadonlyArray<User>, secret: string): Express => {
  const sessions = new Map<string, User>()
  const app = express()
  app.use(express.json())

  app.post("/login", (request, response) => {
    const { login, password } = request.body ?? {}
    const user = users.find((one) => one.login === login && one.password === password)
    if (user === undefined) {
      response.sendStatus(401)
      return
    }
    const session = randomUUID()
    sessions.set(session, user)
    response.cookie("session", session, { httpOnly: true, sameSite: "lax" }).sendStatus(204)
  })

  app.get("/chat-token", async (request, response) => {
    const session = cookieOf(request)
    const user = sessions.get(session)
    if (user === undefined) {
      response.sendStatus(401)
      return
    }
    response
      .set("cache-control", "no-store")
      .type("text/plain")
      .send(await sign(session, user, secret))
  })

  return app
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

// npm run example -- own-users "the secret of the issuer": then log in at http://localhost:3000/login
if (import.meta.main) {
  const [secret = ""] = process.argv.slice(2)
  makeApp([{ id: "1", login: "ann", name: "Ann", password: "correct horse" }], secret).listen(3000, () => {
    process.stdout.write("listening on http://localhost:3000; Ctrl+C ends it\n")
  })
}
