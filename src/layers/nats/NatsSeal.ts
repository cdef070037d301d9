import { createHmac, createSecretKey, hkdfSync, timingSafeEqual } from "node:crypto"
import { Redacted } from "effect"
import type { Subject } from "../../services/bus/Subjects.ts"
import type { SettingsShape } from "../../services/platform/Settings.ts"

/** Half of the output, the least that RFC 2104 (section 5) recommends. */
const macBytes = 16

/** The bus has a key of its own, derived by HKDF (RFC 5869), so that its use says nothing about the key of the tokens. */
const keyFrom = (secret: Redacted.Redacted<string>) =>
  createSecretKey(Buffer.from(hkdfSync("sha256", Redacted.value(secret), "", "chat bus", 32)))

/**
 * Makes `sign`, which gives the message authentication code (HMAC-SHA-256, base64url) of a payload on a subject, and
 * `verify`, which says whether a code is right. Both nodes must have the same `jwt.secret`, or each the other's in
 * `jwt.previous_secrets`. A payload is valid on its own subject only. One that is repeated is valid again: receivers ignore
 * a seq that they have and look up in the database what a signal is about.
 */
export const makeSeal = ({ previousSecrets, secret }: Pick<SettingsShape["jwt"], "previousSecrets" | "secret">) => {
  const keys = [...(secret === undefined ? [] : [secret]), ...previousSecrets].map(keyFrom)
  const [own] = keys
  if (own === undefined) throw new Error("jwt.secret is not set")

  const macOf = (key: typeof own, subject: Subject, payload: Uint8Array) =>
    createHmac("sha256", key).update(`${subject}\n`).update(payload).digest().subarray(0, macBytes)

  return {
    sign: (subject: Subject, payload: Uint8Array): string => macOf(own, subject, payload).toString("base64url"),
    verify: (subject: Subject, payload: Uint8Array, mac: string): boolean => {
      const given = Buffer.from(mac, "base64url")
      return given.length === macBytes && keys.some((key) => timingSafeEqual(given, macOf(key, subject, payload)))
    }
  }
}

export type NatsSeal = ReturnType<typeof makeSeal>
