import type { NamedAllowance } from "../../services/platform/Limits.ts"

/** The name of the limit of a session's requests in the headers, as in the examples of the draft. */
const nameOf = ({ name }: NamedAllowance) => (name === "requests" ? "default" : name)

const share = ({ limit, remaining }: NamedAllowance) => remaining / limit

/**
 * The fields `RateLimit` and `RateLimit-Policy` of an answer (draft-ietf-httpapi-ratelimit-headers): one item for each
 * limit that the request counted on. The limit of which the least is left comes first, so in a 429 the one that refused.
 */
export const rateLimitHeaders = (
  allowances: ReadonlyMap<string, NamedAllowance>
): Readonly<Record<string, string>> | undefined => {
  if (allowances.size === 0) return undefined
  const sorted = [...allowances.values()].sort((a, b) => share(a) - share(b))
  const windowOf = ({ windowMs }: NamedAllowance) => (windowMs === undefined ? "" : `;w=${Math.ceil(windowMs / 1000)}`)
  return {
    "ratelimit-policy": sorted.map((one) => `"${nameOf(one)}";q=${one.limit}${windowOf(one)}`).join(", "),
    ratelimit: sorted.map((one) => `"${nameOf(one)}";r=${one.remaining};t=${Math.ceil(one.resetMs / 1000)}`).join(", ")
  }
}
