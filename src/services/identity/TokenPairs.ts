import { Effect } from "effect"
import type { Tokens } from "../../domain/Session.ts"
import { Settings, type SettingsShape } from "../platform/Settings.ts"
import { AccessTokens } from "./AccessTokens.ts"
import { makeRefreshTokens } from "./RefreshTokens.ts"
import type { Device, SessionRow, UserRow } from "./Rows.ts"
import { toMe } from "./Users.ts"

/** User agents are cut to this many characters. */
const userAgentLength = 512

/** The device as it is stored: the database takes no NUL characters. */
export const wellFormed = ({ ip, userAgent }: Device): Device => ({
  ip,
  userAgent: userAgent.slice(0, userAgentLength).toWellFormed().replaceAll("\u0000", "")
})

/** When a session that was used at `now` expires. */
export const expiryOf = ({ refreshExpiration }: SettingsShape["jwt"], now: Date) =>
  new Date(now.getTime() + refreshExpiration)

/** Makes the pairs of access and refresh token that a login and a refresh answer with. */
export const makeTokenPairs = Effect.gen(function* () {
  const { jwt } = yield* Settings
  const accessTokens = yield* AccessTokens
  if (jwt.secret === undefined) return yield* Effect.die("jwt.secret is not set")
  const refreshTokens = makeRefreshTokens([jwt.secret, ...jwt.previousSecrets])

  /** Signs both tokens of the session's generation. */
  const issue = (user: UserRow, session: Pick<SessionRow, "id" | "generation">) => {
    const claims = { userId: user.id, sessionId: session.id, generation: session.generation }
    return Effect.map(
      accessTokens.issue(claims),
      (accessToken): Tokens => ({
        accessToken,
        expiresIn: Math.floor(jwt.expiration / 1000),
        refreshToken: refreshTokens.issue(claims),
        user: toMe(user),
        sessionId: session.id
      })
    )
  }

  return { issue, readRefreshToken: refreshTokens.read }
})

/** The result of `makeTokenPairs`. */
export type TokenPairs = Effect.Success<typeof makeTokenPairs>
