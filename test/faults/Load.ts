import { Effect, Fiber, Random } from "effect"
import { type Account, api } from "../support/Client.ts"
import { FaultClient } from "../support/FaultClient.ts"
import type { Cluster } from "./Cluster.ts"

/** How many users there are, and how active they are. */
interface LoadOptions {
  readonly seed: string
  readonly users: number
  /** The average pause between two actions of a user, in milliseconds. */
  readonly pauseMs: number
  /** How long a user stays offline, at most, in milliseconds. */
  readonly sleepMs: number
}

/** Each group takes this part of the users, and each of these pairs of users has a DM: ten conversations. */
const groups = [0.6, 0.4, 0.25, 0.12, 0.08]
const pairs = 5

/** The share of the users who are members of nothing at the beginning. */
const strangers = 0.1

const someOf = (people: ReadonlyArray<Account>, part: number) =>
  Effect.map(Random.shuffle(people), (all) => all.slice(0, Math.max(2, Math.round(people.length * part))))

/**
 * Starts users on both nodes who send, read, move to the other node, go offline and start conversations. Each has a
 * random generator of its own from the seed. `stop` returns when everything that they sent is acknowledged.
 */
export const startLoad = Effect.fn("startLoad")(function* (
  { nodes }: Cluster,
  { pauseMs, seed, sleepMs, users }: LoadOptions
) {
  const http = api(nodes[0].server.url)
  const people = yield* Effect.replicateEffect(http.register("u"), users, { concurrency: 4 })
  const insiders = people.slice(0, Math.ceil(users * (1 - strangers)))
  const conversations = new Map<string, Array<string>>(people.map(({ id }) => [id, []]))
  const enter = (id: string, members: ReadonlyArray<Account>) => {
    for (const member of members) conversations.get(member.id)?.push(id)
  }
  yield* Effect.gen(function* () {
    for (const part of groups) {
      const members = yield* someOf(insiders, part)
      const [owner, ...others] = members
      if (owner !== undefined) enter(yield* http.group(owner, ...others), members)
    }
    for (let pair = 0; pair < pairs; pair++) {
      const [me, peer] = yield* someOf(insiders, 0)
      if (me === undefined || peer === undefined) continue
      const id = yield* http.dm(me, peer)
      if (conversations.get(me.id)?.includes(id) === false) enter(id, [me, peer])
    }
  }).pipe(Random.withSeed(seed))

  const clients = people.map((person, index) => ({
    client: new FaultClient(person, nodes, nodes[index % 2 === 0 ? 0 : 1]),
    mine: conversations.get(person.id) ?? []
  }))
  let running = true

  const doing = new Map<FaultClient, string>()

  /** One action of a user. The first conversations are the liveliest. */
  const act = Effect.fnUntraced(function* (client: FaultClient, mine: Array<string>) {
    const dice = yield* Random.next
    const id = mine[Math.floor((yield* Random.next) ** 2 * mine.length)]
    doing.set(client, `${dice} in ${id}`)
    if (dice < 0.02) {
      yield* client.move
    } else if (dice < 0.025) {
      yield* client.sleep(yield* Random.nextBetween(500, sleepMs))
    } else if (dice < 0.03) {
      const peer = yield* Random.choice(people)
      const dm = yield* client.dm(peer.id)
      if (!mine.includes(dm)) mine.push(dm)
      yield* client.send(dm)
    } else if (id === undefined) {
      return
    } else if (dice < 0.1) {
      yield* client.mark(id)
    } else {
      yield* client.send(id, dice > 0.92)
    }
  })

  const fibers = yield* Effect.forEach(clients, ({ client, mine }, index) =>
    Effect.gen(function* () {
      yield* Effect.forkScoped(Random.withSeed(client.life, `${seed} life of ${index}`))
      return yield* Effect.gen(function* () {
        while (running) {
          yield* Effect.sleep(yield* Random.nextBetween(0, 2 * pauseMs))
          if (running)
            yield* Effect.ensuring(
              act(client, mine),
              Effect.sync(() => doing.delete(client))
            )
        }
      }).pipe(Random.withSeed(`${seed} acts of ${index}`), Effect.forkScoped)
    })
  )

  return {
    clients: clients.map(({ client }) => client),
    /** What takes its time. */
    unfinished: () =>
      [...doing].map(([{ at, complaints, isOnline, name }, what]) =>
        [`${name} on ${at}${isOnline ? "" : " (offline)"}: ${what}`, ...complaints.slice(-2)].join(", ")
      ),
    stop: Effect.suspend(() => {
      running = false
      return Effect.forEach(fibers, Fiber.join, { discard: true })
    })
  }
})
