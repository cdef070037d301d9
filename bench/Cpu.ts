import { readdirSync, readFileSync } from "node:fs"

/** USER_HZ is 100 on Linux, whatever the kernel's own clock. */
const microsPerTick = 10_000

interface Process {
  readonly parent: number
  readonly own: number
  /** The use of children that have ended. */
  readonly reaped: number
}

const readProcess = (pid: number): Process | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
    // The name in parentheses may hold anything.
    const fields = stat
      .slice(stat.lastIndexOf(")") + 2)
      .split(" ")
      .map(Number)
    const ticks = (index: number) => (fields[index] ?? 0) * microsPerTick
    return { parent: fields[1] ?? 0, own: ticks(11) + ticks(12), reaped: ticks(13) + ticks(14) }
  } catch {
    return undefined // It has ended meanwhile.
  }
}

const readTitle = (pid: number) => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ")
  } catch {
    return ""
  }
}

const everyProcess = () =>
  new Map(
    readdirSync("/proc")
      .map(Number)
      .filter((pid) => pid > 0)
      .flatMap((pid) => {
        const process = readProcess(pid)
        return process === undefined ? [] : [[pid, process] as const]
      })
  )

export const parentOf = (pid: number) => readProcess(pid)?.parent

/** The processes of a PostgreSQL server that work outside its sessions. */
const background = /checkpointer|background writer|walwriter/

/** The CPU time that was used so far, in microseconds. */
export interface CpuSample {
  readonly at: number
  readonly server: number
  readonly bus: number
  readonly postgres: ReadonlyMap<number, number>
  readonly generator: number
  readonly machine: { readonly busy: number; readonly steal: number; readonly total: number }
}

const readMachine = () => {
  const [line = ""] = readFileSync("/proc/stat", "latin1").split("\n")
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = line
    .split(/ +/)
    .slice(1)
    .map((ticks) => Number(ticks) * microsPerTick)
  const busy = user + nice + system
  return { busy, steal, total: busy + idle + iowait + irq + softirq + steal }
}

/** The processes of a target whose use counts, with all their children: its servers, and its NATS and Redis. */
export interface Processes {
  readonly server: ReadonlyArray<number>
  readonly bus: ReadonlyArray<number>
}

/**
 * Reads the use of the process trees of a target, of this process, and of PostgreSQL: its sessions and autovacuum workers in
 * `database`, and its checkpointer and writers, which it shares with other users. Without a database none of it counts.
 */
export const sampleCpu = (
  { bus, server }: Processes,
  postmasterPid: number,
  database: string | undefined
): CpuSample => {
  const processes = everyProcess()
  const postgres = new Map<number, number>()
  const tree = (root: number): number => {
    const { own, reaped } = processes.get(root) ?? { own: 0, reaped: 0 }
    let sum = own + reaped
    for (const [pid, { parent }] of processes) if (parent === root) sum += tree(pid)
    return sum
  }
  const forest = (pids: ReadonlyArray<number>) => pids.reduce((sum, pid) => sum + tree(pid), 0)
  for (const [pid, { own, parent }] of processes) {
    if (database === undefined || parent !== postmasterPid) continue
    const title = readTitle(pid)
    if (title.includes(` ${database} `) || background.test(title)) postgres.set(pid, own)
  }
  const { system, user } = process.cpuUsage()
  return {
    at: performance.now(),
    server: forest(server),
    bus: forest(bus),
    postgres,
    generator: user + system,
    machine: readMachine()
  }
}

/** The use between two samples, in microseconds; `others` in cores, `steal` as a share of the machine. */
export const cpuBetween = (from: CpuSample, to: CpuSample) => {
  const wall = (to.at - from.at) * 1000
  const server = to.server - from.server
  const bus = to.bus - from.bus
  let postgres = 0
  for (const [pid, used] of to.postgres) postgres += used - (from.postgres.get(pid) ?? 0)
  const generator = to.generator - from.generator
  const strangers = to.machine.busy - from.machine.busy - server - bus - postgres - generator
  return {
    wall,
    server,
    bus,
    postgres,
    generator,
    others: Math.max(0, strangers / wall),
    steal: (to.machine.steal - from.machine.steal) / (to.machine.total - from.machine.total)
  }
}
