import type { ConversationId, UserId } from "../../domain/Ids.ts"
import type { User } from "../../domain/User.ts"
import type { Held } from "./Held.ts"

const byActivity = (all: Iterable<Held>) =>
  [...all].sort((a, b) => (a.state.conversation.lastActivityAt < b.state.conversation.lastActivityAt ? 1 : -1))

/** The cursors of at most `most` conversations, those with the latest activity. */
export const cursorsOf = (all: Iterable<Held>, most: number): Record<string, number> =>
  Object.fromEntries(
    byActivity(all)
      .slice(0, most)
      .map(({ published, state }) => [state.conversation.id, published])
  )

/** The others of at most `most` direct conversations, those with the latest activity. */
export const peersOf = (all: Iterable<Held>, most: number): ReadonlyArray<UserId> => {
  const peers = byActivity(all).flatMap(({ state }) => state.conversation.peer?.id ?? [])
  return [...new Set(peers)].slice(0, most)
}

/** Takes profiles of others, who may have other names now. Returns the conversations that have changed. */
export const takeProfiles = (all: Iterable<Held>, users: ReadonlyArray<User>): ReadonlyArray<ConversationId> => {
  const byId = new Map(users.map((user) => [user.id, user]))
  return Array.from(all).flatMap((one) => {
    const { conversation } = one.state
    const peer = conversation.peer === null ? undefined : byId.get(conversation.peer.id)
    if (peer === undefined || JSON.stringify(peer) === JSON.stringify(conversation.peer)) return []
    one.state = { ...one.state, conversation: { ...conversation, peer } }
    return [conversation.id]
  })
}
