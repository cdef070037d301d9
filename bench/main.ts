import { cpus, release, totalmem } from "node:os"
import { NodeServices } from "@effect/platform-node"
import { Console, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { runMain } from "../src/layers/Process.ts"
import { BenchError, postmasterPid, query } from "./Postgres.ts"
import { gates, table } from "./Report.ts"
import { isDisturbed, measure, type Run } from "./Run.ts"
import { type Target, targets } from "./Targets.ts"

const flags = {
  quick: Flag.Boolean("quick").pipe(
    Flag.withDescription("One short round, to see whether anything is off"),
    Flag.withDefault(false)
  ),
  rounds: Flag.Int("rounds").pipe(Flag.withDescription("Undisturbed rounds to take"), Flag.withDefault(3)),
  pairs: Flag.Int("pairs").pipe(Flag.withDescription("Conversations of two"), Flag.withDefault(100)),
  w: Flag.Int("w").pipe(Flag.withDescription("Messages in flight per pair"), Flag.withDefault(1)),
  seconds: Flag.Int("seconds").pipe(
    Flag.withDescription("Length of a measurement, after 2 s of warming"),
    Flag.optional
  ),
  only: Flag.Literals("only", ["sketch", "floor", "socket.io", "service"]).pipe(
    Flag.withDescription("Measure this target alone"),
    Flag.optional
  ),
  profile: Flag.String("profile").pipe(
    Flag.withMetavar("<directory>"),
    Flag.withDescription("Write a CPU profile of the service's whole life there"),
    Flag.optional
  )
}

const describe = (name: string, run: Run) =>
  `${name.padEnd(10)} ${run.perSecond.toFixed(0).padStart(6)}/s  CPU ${run.serverCpu.toFixed(0)} + ${run.postgresCpu.toFixed(0)} µs  ` +
  `delivery ${run.deliveryP50.toFixed(1)} / ${run.deliveryP99.toFixed(1)} ms  ` +
  `others ${run.others.toFixed(2)}  steal ${(run.steal * 100).toFixed(0)} %${isDisturbed(run) ? "  disturbed" : ""}`

const bench = Command.make(
  "bench",
  flags,
  Effect.fnUntraced(function* ({ only, pairs, profile, quick, rounds: wanted, seconds, w }) {
    const postmaster = yield* postmasterPid
    const [version] = yield* query("SHOW server_version")
    yield* Console.log(
      `${cpus().length} x ${cpus()[0]?.model}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${release()}, ` +
        `Node ${process.version}, PostgreSQL ${version?.server_version}\n` +
        `direct messages: ${pairs} pairs, ${w} in flight each, 200-byte bodies, each stored, acknowledged and delivered\n`
    )
    const nodeOptions = Option.match(profile, {
      onNone: () => [],
      onSome: (directory) => ["--cpu-prof", "--cpu-prof-interval=500", `--cpu-prof-dir=${directory}`]
    })
    const names = Option.match(only, {
      onNone: () => ["sketch", "floor", "socket.io", "service"] as const,
      onSome: (name) => [name]
    })
    const running: ReadonlyArray<Target> = yield* Effect.forEach(names, (name) => targets[name](pairs, nodeOptions))
    const options = {
      width: w,
      warmMs: quick ? 500 : 2000,
      measureMs: Option.getOrElse(seconds, () => (quick ? 2 : 6)) * 1000
    }

    // Steady state is what counts: until then much of the work is the compiler's.
    for (const target of running) yield* measure(target, postmaster, { ...options, measureMs: quick ? 2000 : 5000 })

    const calm: Array<ReadonlyMap<string, Run>> = []
    const all: Array<ReadonlyMap<string, Run>> = []
    const least = quick ? 1 : wanted
    // A neighbour may never be quiet: then the figures of all rounds must do, and the report says so.
    while (calm.length < least && all.length < (quick ? 1 : wanted + 2)) {
      yield* Console.log(`round ${all.length + 1}`)
      const round = new Map<string, Run>()
      for (const target of running) {
        const run = yield* measure(target, postmaster, options)
        round.set(target.name, run)
        yield* Console.log(`  ${describe(target.name, run)}`)
      }
      all.push(round)
      if (![...round.values()].some(isDisturbed)) calm.push(round)
    }

    const counted = calm.length >= least ? calm : all
    const verdicts = gates(names, counted, all)
    const left = all.length - counted.length
    const note =
      counted === calm
        ? left > 0 && `, ${left} left out for strangers on the cores`
        : `, only ${calm.length} of them undisturbed: strangers were on the cores`
    yield* Console.log(`\nmedians [least..most] of ${counted.length} rounds${note || ""}\n`)
    yield* Console.log(`${table(names, counted)}\n\n${verdicts.map(({ line }) => line).join("\n")}`)
    if (verdicts.some(({ pass }) => !pass)) return yield* new BenchError({ message: "a gate failed" })
  }, Effect.scoped)
).pipe(Command.withDescription("Measures direct messages against a bare sketch and a socket.io server"))

bench.pipe(
  Command.run({ version: "1" }),
  Effect.tapError((error) => (error._tag === "BenchError" ? Console.error(`bench: ${error.message}`) : Effect.void)),
  Effect.provide(NodeServices.layer),
  runMain({ disableErrorReporting: true })
)
