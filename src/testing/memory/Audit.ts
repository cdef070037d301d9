import { Clock, Effect, Layer } from "effect"
import { Audit, type AuditLine } from "../../services/admin/Audit.ts"
import { Memory } from "./State.ts"

/** Adds a line to the audit log: `add_audit` in SQL. */
export const addAudit = ({ audit }: Memory["Service"], line: AuditLine) =>
  Effect.map(Clock.currentTimeMillis, (now) => void audit.push({ ...line, id: audit.length + 1, at: new Date(now) }))

/** The audit log in `Memory`. */
export const layerMemory = Layer.effect(
  Audit,
  Effect.flatMap(Memory, (memory) =>
    Audit.make(
      (below, limit) =>
        Effect.sync(() =>
          memory.audit
            .filter(({ id }) => id < below)
            .toReversed()
            .slice(0, limit)
        ),
      (lines) => Effect.forEach(lines, (line) => addAudit(memory, line), { discard: true })
    )
  )
)
