import { Effect, Random, Schedule } from "effect"
import type { FaultProxy } from "../support/Proxy.ts"
import { redisCommand, type Server, type ServerError } from "../support/Servers.ts"
import type { Cluster } from "./Cluster.ts"

/** A fault: it lasts as long as `run`, and is over when that returns. */
export interface Fault {
  readonly name: string
  readonly run: Effect.Effect<void, ServerError>
}

const pause = (fromMs: number, toMs: number) => Effect.flatMap(Random.nextBetween(fromMs, toMs), Effect.sleep)

/** Starts the server again until that succeeds, as a supervisor does. */
const revive = (server: Server) => Effect.retry(server.start, { schedule: Schedule.spaced("500 millis"), times: 60 })

const killed = (server: Server): Fault => ({
  name: `kill -9 ${server.name}`,
  run: server.kill.pipe(Effect.andThen(pause(100, 3000)), Effect.andThen(revive(server)))
})

const frozen = (server: Server, longestMs: number): Fault => ({
  name: `SIGSTOP ${server.name}`,
  run: server.freeze.pipe(Effect.andThen(pause(500, longestMs)), Effect.andThen(server.thaw))
})

const redeployed = (server: Server): Fault => ({
  name: `SIGTERM ${server.name}`,
  run: server.stop.pipe(Effect.andThen(revive(server)))
})

const linkFaults = (name: string, proxy: FaultProxy, longestMs: number): ReadonlyArray<Fault> => {
  const during = (what: string, begin: Effect.Effect<void>): Fault => ({
    name: `${what} ${name}`,
    run: begin.pipe(Effect.andThen(pause(500, longestMs)), Effect.andThen(proxy.heal))
  })
  return [
    during("delay", proxy.delay(60, 60)),
    during("hold up", proxy.hold("up")),
    during("hold down", proxy.hold("down")),
    during("stall", proxy.stall),
    during("refuse", proxy.refuse),
    { name: `reset ${name}`, run: proxy.reset },
    { name: `forget ${name}`, run: proxy.forget }
  ]
}

/** All faults, by what they affect. */
export const allFaults = ({ nats, nodes, postgres, redis }: Cluster): ReadonlyArray<Fault> => [
  killed(postgres),
  frozen(postgres, 14_000),
  ...(nats === undefined
    ? []
    : [{ ...killed(nats), name: "lose all of nats" }, frozen(nats, 5000), frozen(nats, 20_000)]),
  ...(redis === undefined
    ? []
    : [
        killed(redis),
        frozen(redis, 6000),
        { name: "FLUSHALL", run: Effect.asVoid(redisCommand(redis.port, "FLUSHALL")) }
      ]),
  ...nodes.flatMap(({ links, name, server }) => [
    killed(server),
    frozen(server, 12_000),
    redeployed(server),
    ...Object.entries(links).flatMap(([link, proxy]) =>
      proxy === undefined ? [] : linkFaults(`${name}–${link}`, proxy, link === "postgres" ? 8000 : 5000)
    )
  ])
]

/** A fault that happened, and when, in seconds since the start. */
export interface Struck {
  readonly name: string
  readonly from: number
  readonly to: number
}

/**
 * Lets the faults happen one after the other. Their order and lengths come from the seed. The pauses between them are
 * short, so that the effects of one need not be over when the next one begins. With two `lanes`, two faults happen at
 * a time.
 */
export const strike = Effect.fn("strike")(function* (
  faults: ReadonlyArray<Fault>,
  options: { readonly seed: string; readonly gapMs: number; readonly lanes: number }
) {
  const { gapMs, lanes, seed } = options
  const start = performance.now()
  const seconds = () => Math.round((performance.now() - start) / 100) / 10
  const struck: Array<Struck> = []
  const order = yield* Random.withSeed(Random.shuffle(faults), `${seed} nemesis`)
  const lane = (number: number) =>
    Effect.forEach(
      order.filter((_, index) => index % lanes === number),
      ({ name, run }) =>
        Effect.gen(function* () {
          yield* pause(gapMs / 2, gapMs * 1.5)
          const from = seconds()
          yield* run
          struck.push({ name, from, to: seconds() })
        }),
      { discard: true }
    ).pipe(Random.withSeed(`${seed} lane ${number}`))
  yield* Effect.forEach(Array.from({ length: lanes }).keys(), lane, { concurrency: lanes, discard: true })
  return struck
})
