/**
 * An app that has users of its own and lets them chat: it signs a token for the user of each of its sessions, which the page
 * exchanges for tokens of the chat. The chat trusts the app by this setting:
 *
 *   auth: { issuers: [{ issuer: "https://app.example.com", audience: chat, secret_file: /run/secrets/chat-issuer }] }
 */
import { createServer } from "node:http"
import { Schema } from "effect"
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

/** The server of the app. `/chat-token` gives a signed-in page the token of its user. */
export const makeApp = (sessions: ReadonlyMap<string, Session>, secret: string) =>
  createServer(async (request, response) => {
    const session = sessions.get(/session=(\w+)/.exec(request.headers.cookie ?? "")?.[1] ?? "")
    if (session === undefined || request.url !== "/chat-token") {
      response.writeHead(session === undefined ? 401 : 404).end()
      return
    }
    response.writeHead(200, { "content-type": "text/plain", "cache-control": "no-store" })
    response.end(await sign(session, secret))
  })

const decodeTokens = Schema.decodeUnknownPromise(
  Schema.Struct({
    access_token: Schema.String,
    expires_in: Schema.Number,
    refresh_token: Schema.String,
    sessionId: Schema.String,
    user: Schema.Struct({
      id: Schema.String,
      username: Schema.String,
      displayName: Schema.String,
      avatarUrl: Schema.NullOr(Schema.String),
      createdAt: Schema.String,
      email: Schema.String
    })
  })
)

/** What the page does with the token: it begins a session of the chat. */
export const exchange = async (chat: string, token: string) => {
  const response = await fetch(`${chat}/v1/auth/exchange`, {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
      subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
      subject_token: token
    })
  })
  const { access_token, expires_in, refresh_token, sessionId, user } = await decodeTokens(await response.json())
  return { accessToken: access_token, expiresIn: expires_in, refreshToken: refresh_token, sessionId, user }
}
