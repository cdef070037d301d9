import type { SettingsShape } from "../services/platform/Settings.ts"

/** A client is told at once that its token expires when it lives shorter than this, in milliseconds: clocks tick each second. */
const shortestLife = 3000

/** When to tell of the expiry of a token that is new at `now`, all by the time of day. */
export const warningOf = (now: number, expiresAt: number, { sessionExpiring }: SettingsShape["timers"]): number => {
  const usual = expiresAt - sessionExpiring
  // A client that renews at once a token that lives shorter than that would do so again and again.
  return usual > now || expiresAt - now < shortestLife ? usual : (now + expiresAt) / 2
}
