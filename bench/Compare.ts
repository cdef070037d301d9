import { Console, Effect } from "effect"
import type { Pace } from "./Load.ts"
import type { BenchError } from "./Postgres.ts"
import { faults, type Ratio, ratios, table } from "./Report.ts"
import { indexed, type LoadOptions, measure, measureRoom, type Run, takeRounds } from "./Run.ts"
import { type RoomTarget, roomTargets, type Target, targets, telemetryTargets } from "./Targets.ts"

/** How the scenes are measured. */
export interface Bench {
  readonly postmaster: number
  /** One short round, to see whether anything is off. */
  readonly quick: boolean
  readonly rounds: number
  readonly pairs: number
  readonly lengths: LoadOptions
  /** Options of Node for the service, such as those of a profile. */
  readonly nodeOptions: ReadonlyArray<string>
}

/** Runs the targets of a scene in rounds, prints their figures, and returns the ratios and the count of faults. */
const compare = Effect.fnUntraced(function* <T extends { readonly name: string }>(
  bench: Bench,
  scene: {
    readonly name: string
    readonly unit: string
    readonly running: ReadonlyArray<T>
    readonly ratios: ReadonlyArray<Ratio>
    readonly warm: (target: T) => Effect.Effect<unknown, BenchError>
    readonly run: (target: T) => Effect.Effect<Run, BenchError>
  }
) {
  // Only the steady state counts: before it much of the work is the compiler's.
  for (const target of scene.running) yield* scene.warm(target)
  const wanted = bench.quick ? 1 : bench.rounds
  const { all, calm, counted } = yield* takeRounds(scene.running, wanted, bench.quick ? 1 : wanted + 2, scene.run)
  const names = scene.running.map(({ name }) => name)
  const note = calm < wanted ? `, only ${calm} of them undisturbed: strangers were on the cores` : ""
  yield* Console.log(`\nmedians [least..most] of ${counted.length} rounds${note}\n`)
  yield* Console.log(`${table(names, counted, scene.unit)}\n`)
  return [...ratios(counted, scene.ratios), faults(scene.name, names, all)]
})

const dmNames = ["sketch", "floor", "socket.io", "service"] as const

const startAll = (bench: Bench, names: ReadonlyArray<keyof typeof targets>) =>
  Effect.forEach(names, (name) =>
    name === "service" ? targets.service(bench.pairs, bench.nodeOptions) : targets[name](bench.pairs)
  )

const compareMessages = (
  bench: Bench,
  scene: {
    readonly name: string
    readonly running: ReadonlyArray<Target>
    readonly ratios: ReadonlyArray<Ratio>
    readonly rate?: number
  }
) => {
  const { lengths, postmaster, quick } = bench
  const { rate, running } = scene
  const saturated = { width: 1 }
  const pace: Pace = rate === undefined ? saturated : { rate }
  return compare(bench, {
    name: scene.name,
    ratios: scene.ratios,
    running,
    unit: "message",
    warm: Effect.fnUntraced(function* (target) {
      yield* measure(target, postmaster, { ...lengths, pace: saturated, measureMs: quick ? 2000 : 5000 })
      if (rate === undefined) return
      if (target.name === "service") yield* indexed(target)
      // V8 drops the code of what rested meanwhile.
      yield* measure(target, postmaster, { ...lengths, pace })
    }),
    run: (target) => measure(target, postmaster, { ...lengths, pace })
  })
}

const mustBe = (side: "at most" | "at least", must: number, aim: number) => ({ goal: { side, must, aim } })

/** Direct messages, with one in flight for each pair. */
export const saturated = Effect.fnUntraced(function* (bench: Bench) {
  return yield* compareMessages(bench, {
    name: "DM, saturated",
    running: yield* startAll(bench, dmNames),
    ratios: [
      {
        what: "DM, saturated: CPU a message to the sketch",
        field: "stackCpu",
        of: "service",
        to: ["sketch"],
        ...mustBe("at most", 2.2, 1.5)
      },
      {
        what: "DM, saturated: CPU a message to socket.io",
        field: "stackCpu",
        of: "service",
        to: ["socket.io"],
        ...mustBe("at most", 0.67, 0.45)
      },
      {
        what: "DM, saturated: delivered a second to socket.io",
        field: "perSecond",
        of: "service",
        to: ["socket.io"],
        ...mustBe("at least", 1.5, 2)
      },
      { what: "DM, saturated: CPU a message to the floor", field: "stackCpu", of: "service", to: ["floor"] }
    ]
  })
})

/** The messages a second of the scene in which every target keeps up. */
export const calmRate = 300

/** Direct messages at a rate at which every target keeps up. */
export const rate = Effect.fnUntraced(function* (bench: Bench) {
  const peers = ["sketch", "socket.io"] as const
  const name = `DM at ${calmRate} a second`
  return yield* compareMessages(bench, {
    name,
    running: yield* startAll(bench, [...peers, "service"]),
    rate: calmRate,
    ratios: [
      {
        what: `${name}: CPU a message to socket.io`,
        field: "stackCpu",
        of: "service",
        to: ["socket.io"],
        ...mustBe("at most", 1.3, 1)
      },
      {
        what: `${name}: p50 to socket.io`,
        field: "deliveryP50",
        of: "service",
        to: ["socket.io"],
        ...mustBe("at most", 1.5, 1.1)
      },
      {
        what: `${name}: p99 to the best`,
        field: "deliveryP99",
        of: "service",
        to: peers,
        ...mustBe("at most", 1.5, 1)
      },
      { what: `${name}: CPU a message to the sketch`, field: "stackCpu", of: "service", to: ["sketch"] }
    ]
  })
})

/** Senders and receivers on two nodes. */
export const nodes = Effect.fnUntraced(function* (bench: Bench) {
  return yield* compareMessages(bench, {
    name: "two nodes",
    running: yield* startAll(bench, ["service", "two nodes"]),
    ratios: [
      {
        what: "second node: CPU a message to one node",
        field: "stackCpu",
        of: "two nodes",
        to: ["service"],
        ...mustBe("at most", 1.5, 1.25)
      }
    ]
  })
})

/** Direct messages without telemetry, with all of it, and with a trace of each. */
export const telemetry = Effect.fnUntraced(function* (bench: Bench) {
  return yield* compareMessages(bench, {
    name: "telemetry",
    running: yield* telemetryTargets(bench.pairs, bench.nodeOptions),
    ratios: [
      {
        what: "telemetry: CPU a message to none",
        field: "stackCpu",
        of: "telemetry",
        to: ["all off"],
        goal: { side: "at most", must: 1.1 }
      },
      { what: "telemetry: CPU of the server to none", field: "serverCpu", of: "telemetry", to: ["all off"] },
      { what: "every trace: CPU a message to none", field: "stackCpu", of: "every trace", to: ["all off"] },
      { what: "every trace: CPU of the server to none", field: "serverCpu", of: "every trace", to: ["all off"] }
    ]
  })
})

/** The members of a room, and how many of them write. */
const roomSize = 200
const senders = 4

const compareRooms = (
  bench: Bench,
  scene: {
    readonly name: string
    readonly running: ReadonlyArray<RoomTarget>
    readonly service: Target
    readonly ratio: Ratio
    /** Messages a second in all, instead of one in flight for each sender. */
    readonly rate?: number
  }
) => {
  const { lengths, postmaster } = bench
  const rate = scene.rate === undefined ? undefined : scene.rate / senders
  return compare(bench, {
    name: scene.name,
    ratios: [scene.ratio],
    running: scene.running,
    unit: "delivery",
    // A room has too few messages a second for the compiler to have optimized the work per message.
    warm: Effect.fnUntraced(function* (target) {
      if (target.name === "service") yield* measure(scene.service, postmaster, { ...lengths, pace: { width: 1 } })
      yield* measureRoom(target, postmaster, { ...lengths, senders, rate: undefined, measureMs: 2000 })
      if (rate === undefined) return
      if (target.name === "service") yield* indexed(scene.service)
      yield* measureRoom(target, postmaster, { ...lengths, senders, rate })
    }),
    run: (target) => measureRoom(target, postmaster, { ...lengths, senders, rate })
  })
}

/** A room in which each sender has one message in flight. */
export const room = Effect.fnUntraced(function* (bench: Bench) {
  const service = yield* roomTargets.service(roomSize, bench.nodeOptions)
  return yield* compareRooms(bench, {
    name: `room of ${roomSize}`,
    running: [yield* roomTargets.loop(roomSize), service],
    service,
    ratio: {
      what: `room of ${roomSize}: CPU a delivery to the bare loop`,
      field: "stackCpu",
      of: "service",
      to: ["loop"],
      ...mustBe("at most", 1.5, 1.15)
    }
  })
})

/** A room at a rate that people reach. */
export const roomRate = Effect.fnUntraced(function* (bench: Bench) {
  const service = yield* roomTargets.service(roomSize, bench.nodeOptions)
  const name = `room of ${roomSize} at 15 a second`
  return yield* compareRooms(bench, {
    name,
    running: [yield* roomTargets["socket.io"](roomSize), service],
    service,
    rate: 15,
    ratio: {
      what: `${name}: CPU a delivery to socket.io`,
      field: "stackCpu",
      of: "service",
      to: ["socket.io"],
      ...mustBe("at most", 1.3, 1)
    }
  })
})
