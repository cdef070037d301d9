import { Clock, Effect } from "effect"
import { makeChangesMemory } from "./ChangesMemory.ts"
import { membership, messagesOf } from "./LogMemory.ts"
import { noMessage } from "./LogReader.ts"
import { isBlocked, Memory } from "./Memory.ts"
import type { Polls } from "./Polls.ts"
import { voteProblems } from "./VoteProblems.ts"

/** Votes in `Memory`, by the rules of `vote` in migration 0012. */
export const makePollsMemory = Effect.gen(function* () {
  const memory = yield* Memory
  const { addEvent, amend, atomically } = yield* makeChangesMemory

  const service: Polls["Service"] = {
    vote: Effect.fnUntraced(function* (userId, conversationId, messageId, options) {
      const { conversation, me } = yield* Effect.mapError(
        membership(memory.conversations, conversationId, userId),
        () => noMessage
      )
      const message = messagesOf(conversation, me.visibleFromSeq).find(
        ({ deletedAt, id }) => id === messageId && deletedAt === null
      )
      if (message === undefined) return yield* noMessage
      const { ballots, payload } = message
      if (payload === null || !("options" in payload)) return yield* voteProblems["not-a-poll"]
      const chosen = [...new Set(options)].sort((a, b) => a - b)
      if (chosen.join() === (ballots.get(userId) ?? []).join()) return
      if (chosen.length > 0 && isBlocked(memory, conversation, userId)) return yield* voteProblems.blocked
      const closesAt = payload.closesAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(payload.closesAt)
      if (closesAt <= (yield* Clock.currentTimeMillis)) return yield* voteProblems["poll-closed"]
      if (chosen.length > 1 && payload.multiple !== true) return yield* voteProblems["one-option"]
      if (chosen.some((option) => option >= payload.options.length)) return yield* voteProblems["no-option"]
      const others = Array.from(ballots).filter(([id]) => id !== userId)
      const all = new Map(chosen.length === 0 ? others : [...others, [userId, chosen]])
      yield* amend(conversation, message.seq, { ballots: all })
      const votes = payload.options.map((_, option) => [...all.values()].filter((one) => one.includes(option)).length)
      yield* addEvent(conversation, {
        event: "poll.voted",
        actorId: userId,
        data: { messageId, messageSeq: message.seq, votes }
      })
    }, atomically)
  }
  return service
})
