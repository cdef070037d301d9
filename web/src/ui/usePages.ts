import type { Page } from "chat-service/client"
import { useCallback, useEffect, useState } from "react"
import type { FetchPage } from "../chat/pages.ts"
import { explain } from "../text/failure.ts"
import { attempt } from "./notices.tsx"

/** A list that is fetched page by page. */
export interface Pages<Item> {
  /** Null until the first page has come. */
  readonly items: ReadonlyArray<Item> | null
  readonly hasMore: boolean
  /** Adds the next page. */
  readonly more: () => void
  /** Asks for the first page again, after a change. */
  readonly again: () => void
  /** Why there is no first page. */
  readonly problem: string | null
}

/** The pages that `fetch` answers, one after the other. `fetch` must stay the same until something else is wanted. */
export const usePages = <Item>(fetch: FetchPage<Item>): Pages<Item> => {
  const [page, setPage] = useState<Page<Item> | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  const [times, setTimes] = useState(0)
  // biome-ignore lint/correctness/useExhaustiveDependencies: it is asked again after a change
  useEffect(() => {
    let current = true
    fetch({}).then(
      (first) => {
        if (!current) return
        setPage(first)
        setProblem(null)
      },
      (error: unknown) => current && setProblem(explain(error))
    )
    return () => {
      current = false
    }
  }, [fetch, times])
  const cursor = page?.nextCursor
  return {
    items: page?.items ?? null,
    hasMore: cursor !== undefined,
    more: () => {
      if (cursor === undefined) return
      const join = (next: Page<Item>) =>
        // The list may have been asked for again meanwhile.
        setPage((now) => (now?.nextCursor === cursor ? { ...next, items: [...now.items, ...next.items] } : now))
      attempt(fetch({ cursor }).then(join))
    },
    again: useCallback(() => setTimes((now) => now + 1), []),
    problem
  }
}
