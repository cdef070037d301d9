import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto"
import { Redacted } from "effect"
import { SessionId } from "../../domain/Ids.ts"
import type { SessionRow } from "./Rows.ts"

/**
 * Refresh tokens are opaque to clients: session id (16 bytes), generation (4), HMAC-SHA256 of both (32), in base64url.
 * Nothing secret is stored, and a token that was replaced long ago is still recognised as one of ours.
 */
const signedLength = 20
const length = signedLength + 32
const shape = new RegExp(`^[\\w-]{${Math.ceil((length * 4) / 3)}}$`)

/** The content of a refresh token. */
export interface RefreshToken {
  readonly sessionId: SessionId
  readonly generation: number
}

/**
 * Makes the functions that sign and read refresh tokens. The first secret signs, and tokens of every secret are
 * recognised.
 */
export const makeRefreshTokens = (
  secrets: readonly [Redacted.Redacted<string>, ...Array<Redacted.Redacted<string>>]
) => {
  const keyOf = (secret: Redacted.Redacted<string>) =>
    Buffer.from(hkdfSync("sha256", Redacted.value(secret), "", "chat refresh tokens", 32))
  const mac = (key: Buffer, signed: Buffer) => createHmac("sha256", key).update(signed).digest()
  const [first, ...others] = secrets
  const key = keyOf(first)
  const keys = [key, ...others.map(keyOf)]

  const issue = ({ generation, sessionId }: RefreshToken): string => {
    const signed = Buffer.alloc(signedLength)
    signed.write(sessionId.replaceAll("-", ""), "hex")
    signed.writeUInt32BE(generation, 16)
    return Buffer.concat([signed, mac(key, signed)]).toString("base64url")
  }

  /** Reads a token; undefined for one that we did not make. */
  const read = (token: string): RefreshToken | undefined => {
    if (!shape.test(token)) return undefined
    const bytes = Buffer.from(token, "base64url")
    if (bytes.length !== length || bytes.toString("base64url") !== token) return undefined
    const signed = bytes.subarray(0, signedLength)
    const signature = bytes.subarray(signedLength)
    if (!keys.some((key) => timingSafeEqual(mac(key, signed), signature))) return undefined
    const id = signed.toString("hex", 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")
    return { sessionId: SessionId.make(id), generation: signed.readUInt32BE(16) }
  }

  return { issue, read }
}

/** A refresh whose answer was lost may be repeated for this long, in milliseconds. */
const graceMs = 60_000

/** The part of a session that a refresh changes. */
export type Rotation = Pick<
  SessionRow,
  "generation" | "previousGeneration" | "droppedGeneration" | "usedGeneration" | "rotatedAt"
>

/**
 * The change that a refresh makes, with the token of a generation. The current generation is replaced by the next one.
 * So is a later one: we made it, so it is the newest token of a session that was put back by a restore of the database.
 * The previous one is replaced again for a minute, as long as no token of its successor was used, because the answer
 * may have been lost; the successor is dropped then. Undefined for any other generation: its token was used twice, and
 * so perhaps stolen.
 */
export const rotate = (session: Rotation, presented: number, now: Date): Rotation | undefined => {
  if (presented >= session.generation) {
    return { ...session, generation: presented + 1, previousGeneration: presented, rotatedAt: now }
  }
  const inTime = now.getTime() - session.rotatedAt.getTime() <= graceMs
  return presented === session.previousGeneration && inTime && session.usedGeneration < session.generation
    ? { ...session, generation: session.generation + 1, droppedGeneration: session.generation }
    : undefined
}

/**
 * Whether access tokens of a generation are valid. Those of a dropped generation are not, since no client should have
 * them. Those of a later generation than the current one are, as in `rotate`.
 */
export const isGood = (session: Rotation, generation: number) =>
  generation > session.droppedGeneration || generation === session.previousGeneration
