import type { ConversationState } from "../Plain.ts"
import { SharedMap } from "./SharedMap.ts"

type Conversations = ReadonlyMap<string, ConversationState>

/** Whether `one` comes before `other`: those with the latest activity first, and a fixed order among equals. */
const isBefore = ({ conversation: one }: ConversationState, { conversation: other }: ConversationState) =>
  one.lastActivityAt === other.lastActivityAt ? one.id > other.id : one.lastActivityAt > other.lastActivityAt

const compare = (one: ConversationState, other: ConversationState) => (isBefore(one, other) ? -1 : 1)

const placeOf = (sorted: ReadonlyArray<ConversationState>, one: ConversationState) => {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    const other = sorted[middle]
    if (other !== undefined && isBefore(other, one)) low = middle + 1
    else high = middle
  }
  return low
}

/** More changes than these are sorted from the start. */
const fewChanges = 16

/**
 * Makes a function that sorts the conversations of a state by their activity. It keeps the last result, so that a state
 * after that costs the places of what has changed, and the same state nothing.
 */
export const makeByActivity = () => {
  let last: Conversations = SharedMap.empty()
  let sorted: ReadonlyArray<ConversationState> = []
  const sort = (conversations: Conversations) => {
    if (!(conversations instanceof SharedMap && last instanceof SharedMap))
      return [...conversations.values()].sort(compare)
    const { gone, put } = conversations.since(last)
    if (put.length + gone.length > fewChanges) return [...conversations.values()].sort(compare)
    const moved = new Set([...gone, ...put.map(([id]) => id)])
    const next = sorted.filter(({ conversation }) => !moved.has(conversation.id))
    for (const [, one] of put) next.splice(placeOf(next, one), 0, one)
    return next
  }
  return (conversations: Conversations): ReadonlyArray<ConversationState> => {
    if (conversations === last) return sorted
    sorted = sort(conversations)
    last = conversations
    return sorted
  }
}
