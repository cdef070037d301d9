import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto"
import { Clock, Effect, Redacted } from "effect"
import { type AttachmentId, isUuid, UserId } from "../../domain/Ids.ts"
import { Settings } from "../platform/Settings.ts"

/** How long a link can be used, in milliseconds. */
const lifetime = 5 * 60_000

const keyOf = (secret: Redacted.Redacted<string>) =>
  Buffer.from(hkdfSync("sha256", Redacted.value(secret), "", "chat attachment links", 32))

/**
 * Makes the functions that sign links to attachments and check them. A link names its user and its end, and is signed with
 * a key of its own that follows from `jwt.secret`, so that every node knows it. It proves who asks, and not that this user
 * may still see the attachment.
 */
export const makeAttachmentLinks = Effect.map(Settings, ({ jwt }) => {
  const keys = [...(jwt.secret === undefined ? [] : [jwt.secret]), ...jwt.previousSecrets].map(keyOf)
  const signatureOf = (key: Buffer, id: AttachmentId, userId: UserId, expiresAt: string) =>
    createHmac("sha256", key).update([id, userId, expiresAt].join(" ")).digest()

  return {
    /** Signs a link to an attachment for one user. `expiresAt` is in milliseconds since 1970. */
    sign: (id: AttachmentId, userId: UserId): Effect.Effect<{ readonly token: string; readonly expiresAt: number }> =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const [key] = keys
        if (key === undefined) return Effect.die("jwt.secret is not set")
        const expiresAt = now + lifetime
        const signature = signatureOf(key, id, userId, String(expiresAt)).toString("base64url")
        return Effect.succeed({ token: `${userId}.${expiresAt}.${signature}`, expiresAt })
      }),
    /** The user for whom a link to this attachment was signed; undefined for a link that is over or was not signed here. */
    userOf: (id: AttachmentId, token: string): Effect.Effect<UserId | undefined> =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const [user = "", expiresAt = "", signature = ""] = token.split(".")
        if (!isUuid(user) || !(Number(expiresAt) > now)) return undefined
        const userId = UserId.make(user)
        const given = Buffer.from(signature, "base64url")
        const isSigned = keys.some((key) => {
          const right = signatureOf(key, id, userId, expiresAt)
          return right.length === given.length && timingSafeEqual(right, given)
        })
        return isSigned ? userId : undefined
      })
  }
})
