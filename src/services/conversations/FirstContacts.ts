import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { Kind } from "../../domain/Conversation.ts"
import type { UserId } from "../../domain/Ids.ts"
import type { RateLimited, Unavailable } from "../../domain/Problem.ts"
import { CurrentAllowances, Limits } from "../platform/Limits.ts"
import { conversationsCreated } from "../platform/MetricDefinitions.ts"
import { Metrics } from "../platform/Metrics.ts"
import { Settings } from "../platform/Settings.ts"
import { orUnavailable } from "../platform/Sql.ts"
import { checkNewGroup } from "./ConversationRules.ts"
import { Conversations } from "./Conversations.ts"

/**
 * Another user, who may not exist: a stranger shares no conversation with the user, not even a DM that does not show yet,
 * and a contact shares one in which both have written.
 */
interface Other {
  readonly id: UserId
  readonly stranger: boolean
  readonly contact: boolean
}
type Relations = (userId: UserId, others: ReadonlyArray<UserId>) => Effect.Effect<ReadonlyArray<Other>, Unavailable>

/** It names nobody: how often a user was added is not for others to know. */
const addedTooOften =
  "One of these users has been added to groups too often; share an invite instead, or try again later"

/**
 * Limits how many strangers a user may contact (`limits.first_contacts_per_day`), and how often a user may be added to
 * groups by others who are no contacts (`limits.additions_per_hour`).
 */
export class FirstContacts extends Context.Service<
  FirstContacts,
  {
    /**
     * Counts the strangers among the others before a change brings them into a conversation with the user, and for a group
     * also the additions of those who are no contacts. Gives back those who were not `met`, and all of them when the
     * change fails.
     */
    readonly counted: <A, E, R>(
      userId: UserId,
      others: ReadonlyArray<UserId>,
      kind: Kind,
      change: Effect.Effect<A, E, R>,
      met: (result: A) => ReadonlyArray<UserId>
    ) => Effect.Effect<A, E | RateLimited | Unavailable, R>
  }
>()("chat/services/FirstContacts") {
  /** The rule, for any storage that knows the relations of users. */
  static readonly make = Effect.fnUntraced(function* (relations: Relations) {
    const limiter = yield* Limits
    const { additionsPerHour, firstContactsPerDay } = (yield* Settings).limits
    // One adder has half of it, so that nobody can use up alone what others may add.
    const additionsOfOne = Math.ceil(additionsPerHour / 2)

    /**
     * Counts one addition of each user, all together and for this adder. Those who have been added too often refuse it for
     * all. The answer does not tell what is left for somebody else.
     */
    const added = <A, E, R>(
      userId: UserId,
      ids: ReadonlyArray<UserId>,
      change: Effect.Effect<A, E, R>,
      met: (result: A) => ReadonlyArray<UserId>
    ) => {
      const uses = ids.flatMap((id) => {
        const used = (result: A) => Number(met(result).includes(id))
        return [
          { counter: [`additions:${id}`, additionsPerHour, "1 hour"] as const, times: 1, used },
          { counter: [`additions:${id}:${userId}`, additionsOfOne, "1 hour"] as const, times: 1, used }
        ]
      })
      return Effect.provideService(limiter.counted(uses, change, addedTooOften), CurrentAllowances, undefined)
    }

    return FirstContacts.of({
      counted: Effect.fnUntraced(function* <A, E, R>(
        userId: UserId,
        others: ReadonlyArray<UserId>,
        kind: Kind,
        change: Effect.Effect<A, E, R>,
        met: (result: A) => ReadonlyArray<UserId>
      ) {
        const found = yield* relations(
          userId,
          [...new Set(others)].filter((id) => id !== userId)
        )
        const strangers = found.filter(({ stranger }) => stranger)
        const counter = [`first-contacts:${userId}`, firstContactsPerDay, "1 day"] as const
        const used = (result: A) => {
          const now = new Set(met(result))
          return strangers.filter(({ id }) => now.has(id)).length
        }
        const unknown = kind === "group" ? found.filter(({ contact }) => !contact).map(({ id }) => id) : []
        return yield* limiter.counted([{ counter, times: strangers.length, used }], added(userId, unknown, change, met))
      })
    })
  })

  /** The implementation on PostgreSQL, in one statement that reads at most the memberships of the others. */
  static readonly layer = Layer.effect(
    FirstContacts,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      return yield* FirstContacts.make(
        Effect.fn("FirstContacts.relations")(function* (userId, others) {
          if (others.length === 0) return []
          // The condition on left_seq is written so that no index of members by conversation fits it: without statistics,
          // the planner would read such an index whole for each membership.
          return yield* sql<Other>`
            SELECT o.id, shared.wrote IS NULL AS stranger, COALESCE(shared.wrote, false) AS contact
            FROM unnest(${others}::uuid[]) AS o(id)
            LEFT JOIN LATERAL (
              SELECT other.wrote AND me.wrote AS wrote FROM conversation_members other
              JOIN conversation_members me
                ON me.conversation_id = other.conversation_id AND me.user_id = ${userId}::uuid
              WHERE other.user_id = o.id AND COALESCE(other.left_seq, me.left_seq) IS NULL
              ORDER BY (other.wrote AND me.wrote) DESC LIMIT 1
            ) shared ON true`
        }, orUnavailable)
      )
    })
  )
}

/**
 * Adds to any storage of conversations what their creation counts on: the limits of the user and the metric. `isKnown` says
 * whether a creation would answer with a conversation that exists, which costs nothing.
 */
export const counted = Effect.fnUntraced(function* (
  conversations: Conversations["Service"],
  isKnown: (...request: Parameters<Conversations["Service"]["create"]>) => Effect.Effect<boolean, Unavailable>
) {
  const metrics = yield* Metrics
  const limiter = yield* Limits
  const contacts = yield* FirstContacts
  const { limits } = yield* Settings
  const counts = {
    dm: metrics.counter(conversationsCreated, { kind: "dm" }),
    group: metrics.counter(conversationsCreated, { kind: "group" })
  }

  const create: Conversations["Service"]["create"] = Effect.fn("Conversations.create")(function* (...request) {
    const [userId, conversation] = request
    const others = conversation.kind === "dm" ? [conversation.userId] : conversation.memberIds
    if (conversation.kind === "group") {
      yield* checkNewGroup(conversation, new Set([userId, ...others]).size, limits)
    }
    const creating = conversations.create(...request)
    if (yield* isKnown(...request)) return yield* creating
    const counter = [`conversations:${userId}`, limits.conversationsPerMinute, "1 minute"] as const
    const meeting = contacts.counted(userId, others, conversation.kind, creating, ({ created }) =>
      created ? others : []
    )
    return yield* limiter
      .counted([{ counter, times: 1, used: ({ created }) => Number(created) }], meeting)
      .pipe(Effect.tap((made) => Effect.sync(() => made.created && counts[made.conversation.kind]())))
  })
  return Conversations.of({ ...conversations, create })
})
