import { Schema, SchemaGetter } from "effect"
import { Text } from "./Text.ts"

const mostCharacters = 2048

/** White space, quotes, brackets and backslashes end a URL where it is embedded; controls and formats change how it looks. */
const unsafe = /[\s"'`<>\\\p{Cc}\p{Cf}\u2028\u2029]/u

const isLocalhost = (host: string) => /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(host)

/** IPv4 addresses that no public server has: RFC 6890, multicast, and those that are reserved. */
const privateIPv4 =
  /^(0|10|127|2(2[4-9]|[345]\d)|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])|169\.254|172\.(1[6-9]|2\d|3[01])|192\.(0\.0|168)|198\.1[89])\./

/**
 * Only 2000::/3 of IPv6 is public. The URL parser writes IPv6 addresses in brackets, and IPv4 addresses in their usual
 * form.
 */
const isPrivate = (host: string) =>
  host.startsWith("[") ? !/^\[[23][0-9a-f]{3}:/.test(host) : /^[\d.]+$/.test(host) && privateIPv4.test(`${host}.`)

/** Says what is wrong with the URL of a picture; undefined when nothing is. */
const problemOf = (text: string): string | undefined => {
  if (unsafe.test(text)) return "must not contain white space, quotes, brackets or control characters"
  if (!URL.canParse(text)) return "must be an absolute URL"
  const { hostname, href, password, protocol, username } = new URL(text)
  const local = isLocalhost(hostname)
  if (protocol !== "https:" && !(protocol === "http:" && local)) return "must be an https URL (http for localhost only)"
  if (username !== "" || password !== "") return "must not contain a username or a password"
  if (isPrivate(hostname) && !local) return "must not name a private address"
  return href.length > mostCharacters ? `must have at most ${mostCharacters} characters` : undefined
}

/**
 * The URL of a picture that clients load: https, or http for localhost, without credentials, and of no private address.
 * It is kept as the URL parser writes it, at most 2,048 characters.
 */
export const Url = Text.check(Schema.isMaxLength(mostCharacters), Schema.makeFilter(problemOf)).pipe(
  Schema.decodeTo(Schema.String, {
    decode: SchemaGetter.transform((text) => new URL(text).href),
    encode: SchemaGetter.passthrough()
  })
)
