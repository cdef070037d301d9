import { setTimeout as sleep } from "node:timers/promises"
import { Console, Effect } from "effect"
import { type Bench, calmRate } from "./Compare.ts"
import { conversationOf, makeGroups, makePairs } from "./Data.ts"
import { type Member, type Pair, serviceDialect } from "./Dialects.ts"
import type { Verdict } from "./Goals.ts"
import { join } from "./Load.ts"
import { BenchError } from "./Postgres.ts"
import { faults } from "./Report.ts"
import { indexed, measure, measureRoom, type Run } from "./Run.ts"
import { makeStack, startNode } from "./Service.ts"
import { countInService, type Target } from "./Targets.ts"

/** Beside the direct messages: a room, how many of its members write how much in all, and how many come and go. */
const room = { members: 200, senders: 4, perSecond: 15, comers: 20 }

/** How long one of those who come and go stays, and then stays away, in milliseconds. */
const stay = 1000

/** Makes pairs of users who stand beside each other. */
const pairsOf = (people: ReadonlyArray<Member>) =>
  people.flatMap((sender, index): ReadonlyArray<Pair> => {
    const receiver = people[index + 1]
    if (index % 2 === 1 || receiver === undefined) return []
    return [{ conversation: sender.conversation, sender, receiver, sent: 0, seq: 1 }]
  })

/** Lets a user come and go until it is interrupted: each time there is something to tell of presence. */
const comeAndGo = ({ dialect, urls }: Target, member: Member) =>
  Effect.tryPromise({
    try: async (signal) => {
      while (!signal.aborted) {
        const socket = await join(urls.receiver, dialect, member, ignore, ignore)
        await sleep(stay)
        socket.close()
        await sleep(stay)
      }
    },
    catch: broken
  })

/** Follows the presence of those who come and go, until the scope ends. */
const watch = ({ dialect, urls }: Target, watcher: Member, userIds: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.tryPromise({ try: () => join(urls.receiver, dialect, watcher, ignore, ignore), catch: broken }),
    (socket) => Effect.sync(() => socket.close())
  ).pipe(
    Effect.tap((socket) =>
      Effect.sync(() => socket.send(JSON.stringify({ id: 1, op: "presence.subscribe", data: { userIds } })))
    )
  )

const ignore = () => {}

const broken = (error: unknown) =>
  new BenchError({ message: `mixed: ${error instanceof Error ? error.message : "it broke off"}` })

const describe = (what: string, { deliveryP50, deliveryP99, perSecond }: Run) =>
  Console.log(
    `  ${what}: ${perSecond.toFixed(0)}/s, delivery p50 ${deliveryP50.toFixed(1)}, p99 ${deliveryP99.toFixed(1)} ms`
  )

/** A node with pairs of users, and with further users in a room, of whom the last come and go. */
const start = Effect.fnUntraced(function* ({ nodeOptions, pairs }: Bench) {
  const stack = yield* makeStack("chat_bench_mixed")
  const { pid, url } = yield* startNode("service", stack, nodeOptions)
  const others = room.members + room.comers
  const people = yield* makePairs(stack.database, pairs + others / 2)
  const number = people.length / 2 + 1
  const roomOf = `SELECT generate_series(${people.length - others + 1}, ${people.length})`
  yield* makeGroups(stack.database, { from: number, to: number, members: roomOf })
  const inRoom = people.slice(-others)
  const target = {
    name: "service",
    processes: { server: [pid], bus: stack.bus },
    urls: { sender: url, receiver: url },
    database: stack.database,
    dialect: serviceDialect,
    pairs: pairsOf(people.slice(0, 2 * pairs)),
    count: countInService
  }
  const members = inRoom.slice(0, room.members)
  return {
    target,
    comers: inRoom.slice(room.members),
    room: { ...target, conversation: conversationOf(number), members }
  }
})

/**
 * Direct messages at half of what the service takes when it is saturated, beside a room and users who come and go,
 * compared with direct messages at a low rate alone.
 */
export const mixed = Effect.fnUntraced(function* (bench: Bench) {
  const { lengths, postmaster, quick, rounds } = bench
  const { comers, room: roomTarget, target } = yield* start(bench)
  const warm = yield* measure(target, postmaster, { ...lengths, pace: { width: 1 } })
  const half = Math.round(warm.perSecond / 2)
  const measureIn = { ...lengths, senders: room.senders, rate: room.perSecond / room.senders }
  const beside = Effect.gen(function* () {
    const [watcher] = roomTarget.members
    if (watcher !== undefined)
      yield* watch(
        target,
        watcher,
        comers.map(({ user }) => user)
      )
    yield* Effect.forkScoped(
      Effect.forEach(comers, (comer) => comeAndGo(target, comer), { concurrency: "unbounded", discard: true })
    )
    return yield* Effect.all(
      [
        measure(target, postmaster, { ...lengths, pace: { rate: half } }),
        measureRoom(roomTarget, postmaster, measureIn)
      ],
      { concurrency: "unbounded" }
    )
  }).pipe(Effect.scoped)
  const rows: Array<Run> = []
  const values: Array<number> = []
  for (let round = 1; round <= (quick ? 1 : rounds); round++) {
    yield* indexed(target)
    const alone = yield* measure(target, postmaster, { ...lengths, pace: { rate: calmRate } })
    const [direct, inRoom] = yield* beside
    yield* Console.log(`round ${round}`)
    yield* describe("direct messages alone", alone)
    yield* describe("direct messages beside the rest", direct)
    yield* describe(`deliveries in a room of ${room.members}`, inRoom)
    values.push(direct.deliveryP99 / alone.deliveryP99)
    rows.push(alone, direct, inRoom)
  }
  const verdicts: ReadonlyArray<Verdict> = [
    {
      what: `mixed load: p99 of direct messages to that of ${calmRate} a second alone`,
      unit: "",
      values,
      goal: { side: "at most", must: 2 }
    },
    faults(
      "mixed load",
      ["service"],
      rows.map((run) => new Map([["service", run]]))
    )
  ]
  return verdicts
})
