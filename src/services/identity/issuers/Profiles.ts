import { hash } from "node:crypto"
import { Option, Schema } from "effect"
import { Url } from "../../../domain/Url.ts"
import { DisplayName, Email, type Team } from "../../../domain/User.ts"
import type { SettingsShape } from "../../platform/Settings.ts"
import type { Issuer } from "../../platform/settings/IssuerSettings.ts"
import { folded, isReservedUsername } from "../Users.ts"

/** What an issuer says of a user. Null is what it does not say, or, but for the team, not in a form that a profile can have. */
export interface ExternalProfile {
  /** The usernames for a new user, the best one first. The last ones are never taken by somebody else. */
  readonly usernames: readonly [string, ...ReadonlyArray<string>]
  readonly displayName: string | null
  readonly searchName: string | null
  readonly avatarUrl: string | null
  readonly email: string | null
  readonly team: string | null
}

/** The part of a text that a username can have: of an e-mail address, what stands before the `@`. */
const usernameFrom = (text: string) =>
  folded(text.replace(/@.*/s, ""))
    .normalize("NFKD")
    .replaceAll(/\p{M}/gu, "")
    .replaceAll(/[^a-z0-9_.-]+/g, "-")
    .replaceAll(/^[-.]+|[-.]+$/g, "")

/**
 * The usernames for a new user: `base` if it may be one, and for when that is taken, the same with some digits of the hash
 * of the identity, which is a pair of issuer and subject. So a name never makes a sign-in fail.
 */
export const usernamesFor = (
  base: string,
  identity: readonly [issuer: string, subject: string],
  { max, min }: SettingsShape["limits"]["usernameLength"]
) => {
  const digest = hash("sha256", JSON.stringify(identity))
  const withDigits = (count: number) => {
    const digits = digest.slice(0, Math.min(count, max))
    const room = Math.max(0, max - digits.length - 1)
    const name = (base === "" ? "user" : base).slice(0, room)
    return name === "" ? digits : `${name}-${digits}`
  }
  const own = base.slice(0, max)
  const free = own.length >= min && !isReservedUsername(own) ? [own] : []
  const [first, ...others] = [...free, withDigits(4), withDigits(8), withDigits(24)]
  return [first ?? withDigits(24), ...others] as const
}

const readName = Schema.decodeUnknownOption(DisplayName)
const readUrl = Schema.decodeUnknownOption(Url)
const readEmail = Schema.decodeUnknownOption(Email)

/** A name as a profile can have it: one line of at most 100 characters. */
const nameFrom = (text: string) =>
  readName(
    text
      .replaceAll(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]+/gu, " ")
      .trim()
      .slice(0, 100)
      .toWellFormed()
  )

/** Makes the function that reads the profile from the claims of a verified token. */
export const makeProfileOf =
  ({ claims, issuer }: Pick<Issuer, "claims" | "issuer">, { usernameLength }: SettingsShape["limits"]) =>
  (subject: string, team: typeof Team.Type | null, payload: Readonly<Record<string, unknown>>): ExternalProfile => {
    const text = (claim: string) => {
      const value = payload[claim]
      return typeof value === "string" ? value : ""
    }
    const wished = text(claims.username) || text(claims.name)
    const displayName = Option.getOrNull(nameFrom(text(claims.name) || text(claims.username)))
    return {
      usernames: usernamesFor(usernameFrom(wished), [issuer, subject], usernameLength),
      displayName,
      searchName: displayName === null ? null : folded(displayName),
      avatarUrl: Option.getOrNull(readUrl(text(claims.picture))),
      email: Option.getOrNull(readEmail(text(claims.email))),
      team
    }
  }
