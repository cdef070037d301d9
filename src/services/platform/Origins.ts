import { Effect } from "effect"
import { Settings, type SettingsShape } from "./Settings.ts"
import { makeThrottledLog } from "./ThrottledLog.ts"

type Headers = Readonly<Record<string, string | undefined>>

/** Matches the origins that a listed one with `*.` means, in which one label stands for the asterisk. */
const wildcard = (pattern: string) =>
  new RegExp(`^${pattern.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace("\\*", "[a-z0-9-]+")}$`)

const isOwn = (origin: string, host: string | undefined, own: string) => {
  if (host === undefined || !/^https?:/.test(origin) || !URL.canParse(origin)) return false
  // A page of plain HTTP can be changed on its way, so it is not one of our own when the service is served over TLS.
  return (
    origin.slice(origin.indexOf("//") + 2) === host.toLowerCase() &&
    (origin.startsWith("https:") || own.startsWith("http:"))
  )
}

/**
 * Whether a request comes from a page that may use the service: one whose origin `server.allowed_origins` names, or one
 * that the service itself seems to have served, because its origin has the host that the request asks. False without an
 * origin.
 */
export const allowsPage = ({ allowedOrigins, origin: own }: SettingsShape["server"]) => {
  const exact = new Set(allowedOrigins.filter((origin) => !origin.includes("*")))
  const patterns = allowedOrigins.filter((origin) => origin.includes("*")).map(wildcard)
  return ({ host, origin }: Headers): boolean =>
    origin !== undefined &&
    (exact.has(origin) || patterns.some((pattern) => pattern.test(origin)) || isOwn(origin, host, own))
}

/** Makes the function that logs, at most once a minute, that a page was refused, with the setting that decides it. */
export const makeForeignPageLog = Effect.gen(function* () {
  const allows = allowsPage((yield* Settings).server)
  const rarely = yield* makeThrottledLog
  const log = rarely((origin: string) =>
    Effect.logWarning("a page of another origin asked; server.allowed_origins names those that may", {
      origin: origin.slice(0, 200)
    })
  )
  return (headers: Headers) => {
    if (headers.origin !== undefined && !allows(headers)) log(headers.origin)
  }
})
