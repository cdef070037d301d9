import { Context } from "effect"

/**
 * Failures of statements that a look at the server does not show: the disk is full, its system fails, or a lock is held
 * for long. The pool of connections reports them, and the readiness probe then writes, until that works again.
 */
export interface DatabaseFaults {
  /** Takes the SQLSTATE of a statement that failed. */
  readonly report: (sqlState: string) => void
  /** True from a fault on until `clear`. */
  readonly suspected: () => boolean
  /** Says that a write has worked again. */
  readonly clear: () => void
}

/** Out of disk (53100) and errors of its system (58), waiting for a lock (55P03), and a statement that took too long. */
const fault = /^(53100|58...|55P03|57014)$/

/** Makes the memory of faults for one pool of connections. */
export const makeDatabaseFaults = (): DatabaseFaults => {
  let suspected = false
  return {
    report: (sqlState) => {
      suspected ||= fault.test(sqlState)
    },
    suspected: () => suspected,
    clear: () => {
      suspected = false
    }
  }
}

/** Provided by the pool of connections; without one, nothing is ever reported. */
export const DatabaseFaults = Context.Reference<DatabaseFaults>("chat/services/DatabaseFaults", {
  defaultValue: () => ({ report: () => {}, suspected: () => false, clear: () => {} })
})
