import { useCallback, useEffect, useState } from "react"
import { attempt } from "./notices.tsx"

/** What `fetch` answers, and a function that asks again. `fetch` must stay the same until something else is wanted. */
export const useFetched = <A>(fetch: () => Promise<A>): readonly [A | null, () => void] => {
  const [answer, setAnswer] = useState<A | null>(null)
  const [times, setTimes] = useState(0)
  // biome-ignore lint/correctness/useExhaustiveDependencies: it is asked again after a change
  useEffect(() => {
    let current = true
    attempt(fetch().then((next) => current && setAnswer(next)))
    return () => {
      current = false
    }
  }, [fetch, times])
  return [answer, useCallback(() => setTimes((now) => now + 1), [])]
}
