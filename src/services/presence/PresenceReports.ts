import { randomUUID } from "node:crypto"
import { Array as Arr, Effect, Semaphore } from "effect"
import type { UserId } from "../../domain/Ids.ts"
import type { ChosenStatus } from "../../domain/Presence.ts"
import { Unavailable } from "../../domain/Problem.ts"
import { PubSub, presenceSeen } from "../bus/PubSub.ts"
import { presenceSubject } from "../bus/Subjects.ts"
import { makeGroupCommit, type Pending } from "../platform/load/GroupCommit.ts"
import { presentUsers } from "../platform/MetricDefinitions.ts"
import { Metrics } from "../platform/Metrics.ts"
import { Settings } from "../platform/Settings.ts"
import { type LocalPresence, makeLocalPresence } from "./LocalPresence.ts"
import { type Choice, PresenceStore } from "./PresenceStore.ts"

interface Change {
  readonly userId: UserId
  readonly choice?: Choice
}

/** One call of the store reports at most this many users. */
const usersPerCall = 500

/** At most this many changes wait for their report. */
const waitingChanges = 100_000

/** A change that was not reported within this time fails. */
const patienceMs = 5000

/** Reports users to the store, and publishes what others see differently from now on. */
const makeReporter = Effect.fnUntraced(function* (local: LocalPresence) {
  const store = yield* PresenceStore
  const pubsub = yield* PubSub
  const oneAtATime = yield* Semaphore.make(1)
  const nodeId = randomUUID()

  /** Reports are made when they are sent, and calls do not overlap, so that the last report is the present state. */
  const report = (userIds: ReadonlyArray<UserId>, ending = false) =>
    Effect.gen(function* () {
      const reports = userIds.map((userId) => local.reportOf(userId, ending))
      const answers = yield* store.report(nodeId, reports)
      for (const [report, reported] of Arr.zip(reports, answers)) {
        local.acknowledge(report, reported)
        if (!reported.changed) continue
        yield* pubsub.publish(presenceSubject(report.userId), [presenceSeen(reported.observed)])
      }
    }).pipe(oneAtATime.withPermits(1))

  const reportAll = (ending = false) =>
    Effect.suspend(() =>
      Effect.forEach(Arr.chunksOf(local.userIds(), usersPerCall), (userIds) => report(userIds, ending), {
        discard: true
      })
    ).pipe(Effect.ignore)

  return { report, reportAll }
})

/**
 * Reports changes soon, all that have come together in one call. A change that could not be reported waits for the
 * next beat.
 */
const makeChangeQueue = Effect.fnUntraced(function* (
  local: LocalPresence,
  { report }: Effect.Success<ReturnType<typeof makeReporter>>
) {
  /** A connected user's choice is kept on this node and reported later; nobody would report that of another user. */
  const postpone = ({ answer, input: { choice, userId } }: Pending<Change, void, never>) => {
    if (choice === undefined || local.has(userId)) return answer(Effect.void)
    local.newChoices.delete(userId)
    answer(Effect.fail(new Unavailable({ detail: "Presence cannot be kept right now" })))
  }

  return yield* makeGroupCommit<Change, void, never>({
    queue: "presence",
    capacity: waitingChanges,
    maxBatch: usersPerCall,
    patienceMs,
    startsBatch: (batch, next) =>
      next.choice !== undefined && batch.some(({ choice, userId }) => choice !== undefined && userId === next.userId),
    commit: (batch) =>
      Effect.suspend(() => {
        for (const { input } of batch) if (input.choice !== undefined) local.newChoices.set(input.userId, input.choice)
        return report([...new Set(batch.map(({ input }) => input.userId))])
      }).pipe(
        Effect.match({
          onSuccess: () => {
            for (const pending of batch) pending.answer(Effect.void)
          },
          onFailure: () => {
            for (const pending of batch) postpone(pending)
          }
        })
      )
  })
})

/**
 * The devices of this node, and their reports to the store: changes soon, and everything again with each `beat`. While
 * the store is down the changes wait on this node for the next beat.
 */
export const makePresenceReports = Effect.gen(function* () {
  const { timers } = yield* Settings
  const scope = yield* Effect.scope
  // With the context of this service: that of a caller would keep its whole request until the grace period is over.
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const metrics = yield* Metrics
  const local = yield* makeLocalPresence
  const reporter = yield* makeReporter(local)
  const changes = yield* makeChangeQueue(local, reporter)
  metrics.read(presentUsers, local.size)
  yield* Effect.addFinalizer(() => Effect.timeoutOption(reporter.reportAll(true), "1 second"))

  const remove = (userId: UserId, connectionId: string) =>
    Effect.suspend(() => (local.remove(userId, connectionId) ? Effect.ignore(changes.submit({ userId })) : Effect.void))

  /** Connects a device until `disconnect` is called, which must happen once. */
  const connect = (userId: UserId, connectionId: string) =>
    Effect.suspend(() => {
      local.connect(userId, connectionId)
      return Effect.ignore(changes.submit({ userId }))
    })

  /** The device counts as connected for the grace period. */
  const disconnect = (userId: UserId, connectionId: string) => {
    local.disconnect(userId, connectionId)
    fork(remove(userId, connectionId).pipe(Effect.delay(timers.presenceGrace), Effect.forkIn(scope)))
  }

  const set = (userId: UserId, status: ChosenStatus, connectionId: string | undefined) =>
    Effect.suspend(() => changes.submit({ userId, choice: local.choose(userId, status, connectionId) }))

  return { connect, disconnect, set, observed: local.observed, beat: reporter.reportAll() }
})
