import { Cause, Effect, Fiber, Schedule, type Scope } from "effect"
import type { ConversationId, UserId } from "../domain/Ids.ts"
import type { Unavailable } from "../domain/Problem.ts"
import { Conversations } from "../services/conversations/Conversations.ts"
import { holding } from "../services/platform/Holding.ts"
import { untraced } from "../services/platform/Tracing.ts"
import { Hub } from "./Hub.ts"
import type { Listing } from "./Listing.ts"
import { makeRepairLoop } from "./Repair.ts"
import type { Replay } from "./Replay.ts"
import type { ResumableSubscriber } from "./Subscriber.ts"

/** Works through a queue in a fiber that ends when the queue is empty. */
type Work = (queue: MembershipQueue) => Fiber.Fiber<void>

/**
 * A subscriber, and the conversations in which its user's membership is to be read again. Memberships rarely change, so
 * the queue has a fiber only while it has something to do.
 */
export class MembershipQueue {
  readonly subscriber: ResumableSubscriber
  private waiting: Array<ConversationId> | undefined
  private work: Work | undefined
  private fiber: Fiber.Fiber<void> | undefined
  private busy = false

  constructor(subscriber: ResumableSubscriber) {
    this.subscriber = subscriber
  }

  /** Adds a conversation. It waits until `start`. */
  offer(id: ConversationId): void {
    this.waiting ??= []
    this.waiting.push(id)
    this.begin()
  }

  /** Takes the next conversation; undefined ends the work. */
  take(): ConversationId | undefined {
    const next = this.waiting?.shift()
    if (next === undefined) {
      this.waiting = undefined
      this.fiber = undefined
      this.busy = false
    }
    return next
  }

  /** From now on `work` is called when there is something to do. */
  start(work: Work): void {
    this.work = work
    this.begin()
  }

  /** Ends the work, also in the middle of a change. */
  get stop(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.work = undefined
      return this.fiber === undefined ? Effect.void : Fiber.interrupt(this.fiber)
    })
  }

  private begin(): void {
    if (this.busy || this.work === undefined || this.waiting === undefined) return
    this.busy = true
    const fiber = this.work(this)
    // The work may have ended already.
    if (this.busy) this.fiber = fiber
  }
}

/** The queues of all subscribers of one user, who know the user's memberships up to the user seq `known`. */
interface UserQueues {
  readonly known: number
  readonly queues: Set<MembershipQueue>
}

/** Remembers which users have subscribers here, and queues what the bus did not say about their memberships. */
const makeUserQueues = Effect.gen(function* () {
  const conversations = yield* Conversations
  const users = new Map<UserId, UserQueues>()

  /** Reads the user's memberships and queues those that differ from what a subscriber follows. */
  const queueDifferences = Effect.fnUntraced(function* (userId: UserId) {
    const { memberships, userSeq } = yield* conversations.memberships(userId)
    const user = users.get(userId)
    if (user === undefined) return
    users.set(userId, { ...user, known: userSeq })
    const mine = new Map(memberships.map((membership) => [membership.conversationId, membership]))
    for (const queue of user.queues) {
      const { cursors } = queue.subscriber
      for (const [id, { shown, visibleFromSeq }] of mine)
        if (shown && cursors.get(id)?.visibleFromSeq !== visibleFromSeq) queue.offer(id)
      for (const id of cursors.keys()) if (!mine.has(id)) queue.offer(id)
    }
  })

  const startRepair = yield* makeRepairLoop
  yield* startRepair(
    () => [...users.keys()],
    (ids) =>
      Effect.flatMap(conversations.userHeads(ids), (heads) =>
        Effect.forEach(
          heads,
          ([id, head]) => ((users.get(id)?.known ?? head) < head ? queueDifferences(id) : Effect.void),
          { discard: true }
        )
      )
  )

  return {
    add: (queue: MembershipQueue, userSeq: number) => {
      const { userId } = queue.subscriber
      const user = users.get(userId)
      const known = Math.min(user?.known ?? userSeq, userSeq)
      users.set(userId, { known, queues: (user?.queues ?? new Set()).add(queue) })
    },
    remove: (queue: MembershipQueue) => {
      const { userId } = queue.subscriber
      const queues = users.get(userId)?.queues
      queues?.delete(queue)
      if (queues?.size === 0) users.delete(userId)
    }
  }
})

/** Keeps what subscribers follow equal to their users' memberships. */
interface Memberships {
  /** Follows conversations: from now on their cursors hold every event that commits. */
  readonly follow: (queue: MembershipQueue, ids: ReadonlyArray<ConversationId>) => Effect.Effect<void, Unavailable>
  /**
   * Works through the queue in the background until the scope closes, one change after the other. `userSeq` is the one
   * of the memberships that the subscriber was started with.
   */
  readonly watch: (queue: MembershipQueue, userSeq: number) => Effect.Effect<void, never, Scope.Scope>
}

/** Makes the `Memberships`, which follow and drop conversations as their users join and leave. */
export const makeMemberships = Effect.fnUntraced(function* ({ drop }: Replay, { add, open }: Listing) {
  const conversations = yield* Conversations
  const hub = yield* Hub
  const userQueues = yield* makeUserQueues
  const fork = Effect.runForkWith(yield* Effect.context<never>())

  const follow: Memberships["follow"] = Effect.fnUntraced(function* (queue, ids) {
    const { subscriber } = queue
    const followed = yield* hub.follow(subscriber, ids, (id) => queue.offer(id))
    if (subscriber.isClosing) {
      for (const cursor of followed) hub.unfollow(cursor)
      return yield* Effect.interrupt
    }
    for (const cursor of followed) subscriber.cursors.set(cursor.conversationId, cursor)
  })

  const membershipChanged = Effect.fn("CatchUp.membershipChanged")(function* (
    queue: MembershipQueue,
    conversationId: ConversationId
  ) {
    const { subscriber } = queue
    const [conversation] = yield* conversations.getMany(subscriber.userId, [conversationId])
    const cursor = subscriber.cursors.get(conversationId)
    const same = cursor?.attached === true && cursor.visibleFromSeq === conversation?.me.visibleFromSeq
    if (cursor !== undefined && !same) yield* drop(subscriber, cursor)
    if (conversation === undefined || same) return
    yield* follow(queue, [conversationId])
    yield* conversation.kind === "dm" ? open(subscriber, conversationId) : add(subscriber, [conversationId])
  })

  const readAgain = (queue: MembershipQueue, id: ConversationId) =>
    Effect.retry(membershipChanged(queue, id), Schedule.spaced("1 second")).pipe(
      Effect.orDie,
      Effect.catchDefect((defect) => Effect.logError("membership change failed", Cause.die(defect)))
    )

  const workThrough = Effect.fnUntraced(function* (queue: MembershipQueue) {
    for (let id = queue.take(); id !== undefined; id = queue.take()) yield* readAgain(queue, id)
  })
  const work = (queue: MembershipQueue) => fork(untraced(workThrough(queue)))

  const watch: Memberships["watch"] = (queue, userSeq) =>
    holding(
      Effect.sync(() => {
        userQueues.add(queue, userSeq)
        queue.start(work)
      }),
      () =>
        Effect.andThen(
          Effect.sync(() => userQueues.remove(queue)),
          queue.stop
        )
    )

  return { follow, watch } satisfies Memberships
})
