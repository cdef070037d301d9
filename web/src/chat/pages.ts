import type { Page } from "chat-service/client"

/**
 * Fetches a page of a list: the first one, or the one at a cursor. It leaves the size to the service, which refuses a size
 * beyond `limits.page_size`.
 */
export type FetchPage<Item> = (place: { readonly cursor?: string }) => Promise<Page<Item>>

/** Reads the pages of a list, from a cursor on, until there is no next one or there are `enough` items. */
export const readPages = async <Item>(
  fetch: FetchPage<Item>,
  { cursor, enough = Number.POSITIVE_INFINITY }: { readonly cursor?: string; readonly enough?: number } = {}
): Promise<Page<Item>> => {
  const items: Array<Item> = []
  let next = cursor
  do {
    const page = await fetch(next === undefined ? {} : { cursor: next })
    items.push(...page.items)
    next = page.nextCursor
  } while (next !== undefined && items.length < enough)
  return next === undefined ? { items } : { items, nextCursor: next }
}
