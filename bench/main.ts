import { cpus, release, totalmem } from "node:os"
import { NodeServices } from "@effect/platform-node"
import { Console, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { runMain } from "../src/layers/Process.ts"
import { measureComeback } from "./Comeback.ts"
import { BenchError, postmasterPid, query } from "./Postgres.ts"
import { type Goal, gates, table } from "./Report.ts"
import { measure, measureRoom, type Run, takeRounds } from "./Run.ts"
import { type RoomTarget, roomTargets, type Target, targets, telemetryTargets } from "./Targets.ts"

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

const machine = Effect.fnUntraced(function* (what: string) {
  const [version] = yield* query("SHOW server_version")
  yield* Console.log(
    `${cpus().length} x ${cpus()[0]?.model}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${release()}, ` +
      `Node ${process.version}, PostgreSQL ${version?.server_version}\n${what}\n`
  )
})

/** Takes the rounds and says whether the goals are reached. */
const judge = Effect.fnUntraced(function* <T extends { readonly name: string }>(options: {
  readonly running: ReadonlyArray<T>
  readonly rounds: number
  readonly quick: boolean
  readonly unit: string
  readonly goals: ReadonlyArray<Goal>
  readonly run: (target: T) => Effect.Effect<Run, BenchError>
}) {
  const wanted = options.quick ? 1 : options.rounds
  const most = options.quick ? 1 : wanted + 2
  const { all, calm, counted } = yield* takeRounds(options.running, wanted, most, options.run)
  const names = options.running.map(({ name }) => name)
  const verdicts = gates(names, counted, all, options.goals, options.unit)
  const left = all.length - counted.length
  const note =
    calm < wanted
      ? `, only ${calm} of them undisturbed: strangers were on the cores`
      : left > 0
        ? `, ${left} left out for strangers on the cores`
        : ""
  yield* Console.log(`\nmedians [least..most] of ${counted.length} rounds${note}\n`)
  yield* Console.log(`${table(names, counted, options.unit)}\n\n${verdicts.map(({ line }) => line).join("\n")}`)
  if (verdicts.some(({ pass }) => !pass)) return yield* new BenchError({ message: "a gate failed" })
})

const profiling = Option.match({
  onNone: () => [],
  onSome: (directory: string) => ["--cpu-prof", "--cpu-prof-interval=500", `--cpu-prof-dir=${directory}`]
})

const lengths = (quick: boolean, seconds: Option.Option<number>) => ({
  warmMs: quick ? 500 : 2000,
  measureMs: Option.getOrElse(seconds, () => (quick ? 2 : 6)) * 1000
})

const bench = Command.make(
  "bench",
  flags,
  Effect.fnUntraced(function* ({ only, pairs, profile, quick, rounds, seconds, w }) {
    const postmaster = yield* postmasterPid
    yield* machine(
      `direct messages: ${pairs} pairs, ${w} in flight each, 200-byte bodies, each stored, acknowledged and delivered`
    )
    const nodeOptions = profiling(profile)
    const names = Option.match(only, {
      onNone: () => ["sketch", "floor", "socket.io", "service"] as const,
      onSome: (name) => [name]
    })
    const running: ReadonlyArray<Target> = yield* Effect.forEach(names, (name) => targets[name](pairs, nodeOptions))
    const options = { width: w, ...lengths(quick, seconds) }
    // Steady state is what counts: until then much of the work is the compiler's.
    for (const target of running) yield* measure(target, postmaster, { ...options, measureMs: quick ? 2000 : 5000 })
    yield* judge({
      running,
      rounds,
      quick,
      unit: "message",
      goals: [
        { field: "stackCpu", of: "service", to: "sketch", atMost: 2.2 },
        { field: "stackCpu", of: "service", to: "floor" },
        { field: "perSecond", of: "service", to: "socket.io", atLeast: 1.5 }
      ],
      run: (target) => measure(target, postmaster, options)
    })
  }, Effect.scoped)
).pipe(Command.withDescription("Measures direct messages against a bare sketch and a socket.io server"))

const { pairs, profile, quick, rounds, seconds } = flags

const nodes = Command.make(
  "nodes",
  { pairs, quick, rounds, seconds },
  Effect.fnUntraced(function* ({ pairs, quick, rounds, seconds }) {
    const postmaster = yield* postmasterPid
    yield* machine(
      `direct messages, ${pairs} pairs: one node, and senders and receivers on two nodes with NATS between`
    )
    const running = [yield* targets.service(pairs), yield* targets["two nodes"](pairs)]
    const options = { width: 1, ...lengths(quick, seconds) }
    for (const target of running) yield* measure(target, postmaster, { ...options, measureMs: quick ? 2000 : 5000 })
    yield* judge({
      running,
      rounds,
      quick,
      unit: "message",
      goals: [{ field: "stackCpu", of: "two nodes", to: "service", atMost: 1.5 }],
      run: (target) => measure(target, postmaster, options)
    })
  }, Effect.scoped)
).pipe(Command.withDescription("What a second node costs"))

const telemetry = Command.make(
  "telemetry",
  { pairs, quick, rounds, seconds },
  Effect.fnUntraced(function* ({ pairs, quick, rounds, seconds }) {
    const postmaster = yield* postmasterPid
    yield* machine(
      `direct messages, ${pairs} pairs: all telemetry off; metrics, logs and one trace in 100; every message traced`
    )
    const running = yield* telemetryTargets(pairs)
    const options = { width: 1, ...lengths(quick, seconds) }
    for (const target of running) yield* measure(target, postmaster, { ...options, measureMs: quick ? 2000 : 5000 })
    yield* judge({
      running,
      rounds,
      quick,
      unit: "message",
      goals: [
        { field: "stackCpu", of: "telemetry", to: "all off", atMost: 1.1 },
        { field: "serverCpu", of: "telemetry", to: "all off" },
        { field: "stackCpu", of: "every trace", to: "all off" },
        { field: "serverCpu", of: "every trace", to: "all off" }
      ],
      run: (target) => measure(target, postmaster, options)
    })
  }, Effect.scoped)
).pipe(Command.withDescription("What metrics, logs and traces cost"))

const room = Command.make(
  "room",
  {
    profile,
    quick,
    rounds,
    seconds,
    size: Flag.Int("size").pipe(Flag.withDescription("Members"), Flag.withDefault(200)),
    senders: Flag.Int("senders").pipe(Flag.withDescription("Members who write"), Flag.withDefault(4)),
    rate: Flag.Int("rate").pipe(
      Flag.withDescription("Messages a second of each of them, instead of one in flight"),
      Flag.optional
    )
  },
  Effect.fnUntraced(function* ({ profile, quick, rate, rounds, seconds, senders, size }) {
    const postmaster = yield* postmasterPid
    const pace = Option.match(rate, {
      onNone: () => "one message in flight",
      onSome: (rate) => `${rate} messages a second`
    })
    yield* machine(`a room of ${size}, ${senders} of whom write, ${pace} each; a delivery is the unit`)
    const loop = yield* roomTargets.loop(size)
    const service = yield* roomTargets.service(size, profiling(profile))
    const running: ReadonlyArray<RoomTarget> = [loop, service]
    const options = { senders, rate: Option.getOrUndefined(rate), ...lengths(quick, seconds) }
    // A room has too few messages a second for the compiler to be done with what each of them takes.
    yield* measure(service, postmaster, { width: 1, ...lengths(quick, seconds) })
    for (const target of running) yield* measureRoom(target, postmaster, { ...options, measureMs: 2000 })
    yield* judge({
      running,
      rounds,
      quick,
      unit: "delivery",
      goals: [{ field: "stackCpu", of: "service", to: "loop", ...(Option.isNone(rate) && { atMost: 1.5 }) }],
      run: (target) => measureRoom(target, postmaster, options)
    })
  }, Effect.scoped)
).pipe(Command.withDescription("What a delivery in a large room costs, against a bare loop over the sockets"))

const comeback = Command.make(
  "comeback",
  { pairs, sockets: Flag.Int("sockets").pipe(Flag.withDescription("Sockets that come back"), Flag.withDefault(1000)) },
  Effect.fnUntraced(function* ({ pairs, sockets }) {
    const postmaster = yield* postmasterPid
    yield* machine(`${sockets} sockets that come back at once, with 20 missed messages each`)
    const target = yield* targets.service(pairs)
    for (const round of [1, 2, 3]) {
      const { p50, p99, postgresMs, seconds, serverMs, whole } = yield* measureComeback(target, postmaster, sockets)
      yield* Console.log(
        `round ${round}: ${whole} caught up in order; p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, ` +
          `all in ${seconds.toFixed(1)} s; CPU per socket ${serverMs.toFixed(2)} + ${postgresMs.toFixed(2)} ms`
      )
      if (whole < sockets) return yield* new BenchError({ message: `${sockets - whole} sockets did not catch up` })
    }
  }, Effect.scoped)
).pipe(Command.withDescription("How long it takes until everybody who lost his socket has what he missed"))

bench.pipe(
  Command.withSubcommands([nodes, room, comeback, telemetry]),
  Command.run({ version: "1" }),
  Effect.tapError((error) => (error._tag === "BenchError" ? Console.error(`bench: ${error.message}`) : Effect.void)),
  Effect.provide(NodeServices.layer),
  runMain({ disableErrorReporting: true })
)
