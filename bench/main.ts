import { cpus, release, totalmem } from "node:os"
import { NodeServices } from "@effect/platform-node"
import { Console, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { runMain } from "../src/layers/settings/Process.ts"
import { comeback } from "./Comeback.ts"
import { type Bench, nodes, rate, room, roomRate, saturated, telemetry } from "./Compare.ts"
import { goalTable, passes, type Verdict } from "./Goals.ts"
import { hello } from "./Hello.ts"
import { history } from "./History.ts"
import { idle, start } from "./Idle.ts"
import { mixed } from "./Mixed.ts"
import { persist } from "./Persist.ts"
import { BenchError, postmasterPid, query } from "./Postgres.ts"
import { tokens } from "./Tokens.ts"
import { write } from "./Written.ts"

/** Every scene, in the order in which they run: its command, what it does, and its work. */
const scenes = {
  dm: { does: "direct messages of 100 pairs, one in flight each", measure: saturated },
  rate: { does: "direct messages at 300 a second", measure: rate },
  room: { does: "a room of 200, four of whom have one message in flight each", measure: room },
  "room-rate": { does: "a room of 200 at 15 messages a second", measure: roomRate },
  nodes: { does: "senders and receivers on two nodes", measure: nodes },
  mixed: { does: "direct messages beside a room, and users who come and go", measure: mixed },
  persist: {
    does: "the log in this process, 64 messages in flight, beside a bare insert of 64 rows",
    measure: persist
  },
  idle: { does: "authenticated sockets that do nothing", measure: idle },
  start: { does: "the start of a node on 300,000 messages", measure: start },
  history: { does: "pages of a conversation of 10,000 messages among a million", measure: history },
  hello: { does: "the first hello of a user in 2,000 conversations", measure: hello },
  tokens: { does: "hellos with external tokens, beside hellos with our own", measure: tokens },
  comeback: { does: "1,000 sockets that reconnect at once, with 20 missed messages each", measure: comeback },
  telemetry: { does: "direct messages without telemetry, with it, and with every message traced", measure: telemetry }
}

const flags = {
  quick: Flag.Boolean("quick").pipe(
    Flag.withDescription("One short round, to see whether anything is off"),
    Flag.withDefault(false)
  ),
  rounds: Flag.Int("rounds").pipe(Flag.withDescription("Undisturbed rounds to take"), Flag.withDefault(3)),
  pairs: Flag.Int("pairs").pipe(Flag.withDescription("Direct conversations"), Flag.withDefault(100)),
  seconds: Flag.Int("seconds").pipe(
    Flag.withDescription("Length of a measurement, after 2 s of warming"),
    Flag.optional
  ),
  profile: Flag.String("profile").pipe(
    Flag.withMetavar("<directory>"),
    Flag.withDescription("Write a CPU profile of the service's whole life there"),
    Flag.optional
  )
}

const profiling = Option.match({
  onNone: () => [],
  onSome: (directory: string) => ["--cpu-prof", "--cpu-prof-interval=500", `--cpu-prof-dir=${directory}`]
})

const machine = Effect.gen(function* () {
  const [version] = yield* query("SHOW server_version")
  return (
    `${cpus().length} x ${cpus()[0]?.model}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${release()}, ` +
    `Node ${process.version}, PostgreSQL ${version?.server_version}`
  )
})

/** Runs scenes one after the other, and prints their figures beside the goals. Fails when one of these is missed. */
const run = Effect.fnUntraced(function* (
  names: ReadonlyArray<keyof typeof scenes>,
  options: {
    readonly quick: boolean
    readonly rounds: number
    readonly pairs: number
    readonly seconds: Option.Option<number>
    readonly profile: Option.Option<string>
    readonly write?: boolean
  }
) {
  const { pairs, profile, quick, rounds, seconds } = options
  const bench: Bench = {
    postmaster: yield* postmasterPid,
    quick,
    rounds,
    pairs,
    lengths: {
      warmMs: quick ? 500 : 2000,
      measureMs: Option.getOrElse(seconds, () => (quick ? 2 : 6)) * 1000
    },
    nodeOptions: profiling(profile)
  }
  const here = yield* machine
  yield* Console.log(here)
  const verdicts: Array<Verdict> = []
  for (const name of names) {
    const { does, measure } = scenes[name]
    yield* Console.log(`\n${name}: ${does}\n`)
    verdicts.push(...(yield* Effect.scoped(measure(bench))))
  }
  yield* Console.log(`\n${goalTable(verdicts)}`)
  if (options.write === true) yield* Effect.sync(() => write(here, rounds, verdicts))
  // A short round says nothing about the goals, but no message may ever be lost.
  const missed = verdicts.some((verdict) => !passes(verdict) && (!quick || verdict.goal?.must === 0))
  if (missed) return yield* new BenchError({ message: "a goal was missed" })
})

const names = [
  "dm",
  "rate",
  "room",
  "room-rate",
  "nodes",
  "mixed",
  "persist",
  "idle",
  "start",
  "history",
  "hello",
  "tokens",
  "comeback",
  "telemetry"
] as const satisfies ReadonlyArray<keyof typeof scenes>

const writing = Flag.Boolean("write").pipe(
  Flag.withDescription("Write the figures into docs/benchmarks.md and docs/benchmarks.svg"),
  Flag.withDefault(false)
)

Command.make("bench", { ...flags, write: writing }, (options) => run(names, options)).pipe(
  Command.withDescription("Measures the service as operators run it, beside its floors and a socket.io server"),
  Command.withSubcommands(
    names.map((name) =>
      Command.make(name, flags, (options) => run([name], options)).pipe(Command.withDescription(scenes[name].does))
    )
  ),
  Command.run({ version: "1" }),
  Effect.tapError((error) => (error._tag === "BenchError" ? Console.error(`bench: ${error.message}`) : Effect.void)),
  Effect.provide(NodeServices.layer),
  runMain({ disableErrorReporting: true })
)
