import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto"
import { Redacted } from "effect"
import { SessionId } from "../domain/Ids.ts"
import type { SessionRow } from "./Memory.ts"

/**
 * Refresh tokens are opaque to clients: session id (16 bytes), generation (4), HMAC-SHA256 of both (32), in base64url.
 * Nothing secret is stored, and a token that was replaced long ago is still known for what it is.
 */
const signedLength = 20
const length = signedLength + 32

/** What a token that we made stands for. */
export interface RefreshToken {
  readonly sessionId: SessionId
  readonly generation: number
}

/** Makes and reads refresh tokens; the first secret signs, each of them is recognised. */
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

  /** Undefined for what we did not make. */
  const read = (token: string): RefreshToken | undefined => {
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

/** How long the answer to a refresh may stay lost. */
const graceMs = 60_000

/** The part of a session that a refresh changes. */
export type Rotation = Pick<
  SessionRow,
  "generation" | "previousGeneration" | "droppedGeneration" | "usedGeneration" | "rotatedAt"
>

/**
 * What presenting the token of a generation does. The current one makes way for the next. The one before it does so
 * again for a minute while nothing of its successor was used (the answer may have been lost): the successor is dropped.
 * Undefined: any other token was used twice, by somebody who should not have it.
 */
export const rotate = (session: Rotation, presented: number, now: Date): Rotation | undefined => {
  if (presented === session.generation) {
    return { ...session, generation: presented + 1, previousGeneration: presented, rotatedAt: now }
  }
  const inTime = now.getTime() - session.rotatedAt.getTime() <= graceMs
  return presented === session.previousGeneration && inTime && session.usedGeneration < session.generation
    ? { ...session, generation: session.generation + 1, droppedGeneration: session.generation }
    : undefined
}

/** Whether access tokens of a generation are good: the dropped ones, which nobody should have, are not. */
export const isGood = (session: Rotation, generation: number) =>
  generation <= session.generation &&
  (generation > session.droppedGeneration || generation === session.previousGeneration)
