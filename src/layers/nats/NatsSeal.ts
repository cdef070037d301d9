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
 * How far the time of a code may be from ours, in milliseconds: the clocks of nodes differ a little, and NATS keeps messages
 * for a node that is slow.
 */
const windowMs = 60_000

/** What a code says: "late" is one of a node, but not of the last minute. */
type Verdict = "good" | "late" | "forged"

/**
 * Makes `sign`, which gives the code of a payload on a subject, and `check`, which judges such a code. A code is the time in
 * milliseconds since 1970, and a message authentication code (HMAC-SHA-256) of time, subject and payload. Both nodes must
 * have the same `jwt.secret`, or each the other's in `jwt.previous_secrets`. A payload is valid on its own subject only. One
 * that is repeated within a minute is valid again.
 */
export const makeSeal = (
  { previousSecrets, secret }: Pick<SettingsShape["jwt"], "previousSecrets" | "secret">,
  now: () => number
) => {
  const keys = [...(secret === undefined ? [] : [secret]), ...previousSecrets].map(keyFrom)
  const [own] = keys
  if (own === undefined) throw new Error("jwt.secret is not set")

  const macOf = (key: typeof own, time: string, subject: Subject, payload: Uint8Array) =>
    createHmac("sha256", key).update(`${time}\n${subject}\n`).update(payload).digest().subarray(0, macBytes)

  return {
    sign: (subject: Subject, payload: Uint8Array): string => {
      const time = now().toString(36)
      return `${time}.${macOf(own, time, subject, payload).toString("base64url")}`
    },
    check: (subject: Subject, payload: Uint8Array, code: string): Verdict => {
      const [time = "", mac = ""] = code.split(".", 2)
      const given = Buffer.from(mac, "base64url")
      const isRight = (key: typeof own) => timingSafeEqual(given, macOf(key, time, subject, payload))
      if (given.length !== macBytes || !keys.some(isRight)) return "forged"
      return Math.abs(now() - Number.parseInt(time, 36)) <= windowMs ? "good" : "late"
    }
  }
}

export type NatsSeal = ReturnType<typeof makeSeal>
