import { hash, randomInt } from "node:crypto"
import { crc32 } from "node:zlib"

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/** 238 random bits. */
const randomLength = 40
const checksumLength = 6

const checksumOf = (text: string) => {
  let rest = crc32(text)
  let digits = ""
  for (let digit = 0; digit < checksumLength; digit++) {
    digits = alphabet.charAt(rest % alphabet.length) + digits
    rest = Math.floor(rest / alphabet.length)
  }
  return digits
}

const hashOf = (secret: string): Uint8Array => hash("sha256", secret, "buffer")

/**
 * Makes secrets that begin with `prefix`, so that programs which search texts for secrets recognise them, and end with a
 * checksum, so that a mistyped one is refused without asking the database. Only their hashes are stored: the secrets are
 * random, so a fast hash protects them.
 */
export const makeSecrets = (prefix: string) => {
  const length = prefix.length + randomLength + checksumLength
  return {
    /** A new secret, and its hash. */
    make: () => {
      const body =
        prefix + Array.from({ length: randomLength }, () => alphabet.charAt(randomInt(alphabet.length))).join("")
      const secret = body + checksumOf(body)
      return { secret, hash: hashOf(secret) }
    },
    /** The hash under which a secret is stored; undefined for a text that is not a secret. */
    hashOf: (text: string): Uint8Array | undefined => {
      const body = text.slice(0, -checksumLength)
      const isSecret = text.length === length && text.startsWith(prefix) && text.endsWith(checksumOf(body))
      return isSecret ? hashOf(text) : undefined
    }
  }
}
