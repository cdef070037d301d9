/** A PostgreSQL that the test run may use, and the migrated database to copy from. */
export interface Cluster {
  readonly host: string
  readonly port: number
  readonly username: string
  readonly template: string
}

declare module "vitest" {
  interface ProvidedContext {
    readonly clusters: TestClusters
  }
}

/** The PostgreSQL servers that the global set-up found; null for one that does not exist. */
interface TestClusters {
  readonly embedded: Cluster | null
  readonly server: Cluster | null
}

const prefix = "chat_test_"

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch (cause) {
    return cause instanceof Error && "code" in cause && cause.code === "EPERM"
  }
}

/** Names of databases. Each has the id of the process that made it, so that leftovers can be recognised. */
export const owned = {
  prefix,
  name: (what: string) => `${prefix}${process.pid}_${what}`,
  isLeftover: (name: string) => {
    const pid = Number(/^chat_test_(\d+)_/.exec(name)?.[1] ?? Number.NaN)
    return pid > 0 && !isAlive(pid)
  }
}
