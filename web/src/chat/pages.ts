import type { Page } from "chat-service/client"

/**
 * Fetches a page of a list: the first one, or the one at a cursor. It leaves the size to the service, which refuses a size
 * beyond `limits.page_size`.
 */
export type FetchPage<Item> = (place: { readonly cursor?: string }) => Promise<Page<Item>>

/** How many milliseconds the service asks to wait, if it refused a request because there were too many. */
const pauseAfter = (error: unknown): number | undefined =>
  error instanceof Error && "_tag" in error && error._tag === "RateLimited" && "retryAfterMs" in error
    ? Number(error.retryAfterMs)
    : undefined

/** Fetches a page again and again while the service asks to wait. */
const fetchInTime = async <Item>(
  fetch: FetchPage<Item>,
  place: Parameters<FetchPage<Item>>[0]
): Promise<Page<Item>> => {
  for (;;) {
    try {
      return await fetch(place)
    } catch (error) {
      const pause = pauseAfter(error)
      if (pause === undefined) throw error
      await new Promise((resolve) => setTimeout(resolve, pause))
    }
  }
}

/**
 * Reads the pages of a list, from a cursor on, until there is no next one or there are `enough` items. It waits where the
 * service says that there were too many requests, so that a long list is not lost for its last page.
 */
export const readPages = async <Item>(
  fetch: FetchPage<Item>,
  { cursor, enough = Number.POSITIVE_INFINITY }: { readonly cursor?: string; readonly enough?: number } = {}
): Promise<Page<Item>> => {
  const items: Array<Item> = []
  let next = cursor
  do {
    const page = await fetchInTime(fetch, next === undefined ? {} : { cursor: next })
    items.push(...page.items)
    next = page.nextCursor
  } while (next !== undefined && items.length < enough)
  return next === undefined ? { items } : { items, nextCursor: next }
}
