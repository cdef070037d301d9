import { Schema } from "effect"
import { ConversationId, Seq } from "../domain/Ids.ts"
import type { Message } from "../domain/Message.ts"
import type { Page } from "../domain/Page.ts"
import { cursorOf, Millis } from "./Paging.ts"

/** How many matches are ranked at a time. */
export const windowSize = 1000

/** A match in the order of time, newest first. `at` is in milliseconds since 1970. */
const Place = Schema.Struct({ at: Millis, conversationId: ConversationId, seq: Seq })
export type Place = typeof Place.Type

/**
 * Where a page begins: in the window of matches `from … to`, both included, after `last`; `more`: there are older ones.
 * Absent: without a bound.
 */
const Position = Schema.Struct({
  to: Schema.optionalKey(Place),
  from: Schema.optionalKey(Place),
  more: Schema.optionalKey(Schema.Boolean),
  last: Schema.optionalKey(Schema.Struct({ ...Place.fields, rank: Schema.Finite }))
})
export type Position = typeof Position.Type

export const searchCursor = cursorOf(Position)

/** A window as it was found. */
export interface Window {
  readonly matches: number
  readonly newest: Place | null
  readonly oldest: Place | null
}

export interface Ranked {
  readonly place: Place
  readonly rank: number
  readonly message: Message
}

/** A page of a window, whose messages were read with one more than the limit. */
export const pageOfWindow = (
  position: Position,
  window: Window,
  ranked: ReadonlyArray<Ranked>,
  limit: number
): Page<Message> => {
  const items = ranked.slice(0, limit).map(({ message }) => message)
  const to = position.to ?? window.newest
  const from = position.from ?? window.oldest
  const more = position.more ?? window.matches === windowSize
  const last = ranked.length > limit ? ranked[limit - 1] : undefined
  if (to === null || from === null) return { items }
  if (last !== undefined) {
    const { place, rank } = last
    return { items, nextCursor: searchCursor.encode({ to, from, more, last: { ...place, rank } }) }
  }
  return more
    ? { items, nextCursor: searchCursor.encode({ to: { ...from, seq: Math.max(0, from.seq - 1) } }) }
    : { items }
}
