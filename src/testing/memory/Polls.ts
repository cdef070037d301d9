import { Clock, Effect, Layer } from "effect"
import { chosenOptions, Polls, voteProblems } from "../../services/messages/Polls.ts"
import { makeChangesMemory } from "./Changes.ts"
import { messageFor } from "./Log.ts"
import { checkNotBlocked, Memory } from "./State.ts"

/** Votes in `Memory`, by the rules of migrations/functions/polls.sql. */
export const layerMemory = Layer.effect(
  Polls,
  Effect.gen(function* () {
    const memory = yield* Memory
    const { addEvent, amend, atomically } = yield* makeChangesMemory
    return Polls.of({
      vote: Effect.fnUntraced(function* (userId, conversationId, messageId, options) {
        const { conversation, message } = yield* messageFor(memory.conversations, userId, conversationId, messageId)
        const { ballots, deletedAt, payload } = message
        if (deletedAt !== null) return yield* voteProblems["no-message"]
        yield* checkNotBlocked(memory, conversation, userId)
        if (payload === null || !("options" in payload)) return yield* voteProblems["not-a-poll"]
        const chosen = chosenOptions(options)
        if (chosen.join() === (ballots.get(userId) ?? []).join()) return
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
    })
  })
)
