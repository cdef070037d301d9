import { AuditEntry } from "../domain/Audit.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { InvalidRequest, Unavailable } from "../domain/Problem.ts"
import { feature, operation } from "./Operation.ts"

/** The operation that reads the audit log. */
export const Audit = feature(
  { audit: "For operators: the audit log" },
  operation("audit.list", {
    http: "GET /v1/server/audit",
    query: pageFields,
    success: Page(AuditEntry),
    problems: [InvalidRequest, Unavailable],
    scope: "audit",
    summary: "Read the audit log",
    description:
      "Lists what was done with service tokens and at the command line, the newest first. A line is written in the transaction of what it is about, and cannot be changed or deleted. What changed nothing has no line. For what a program does in the name of a user (`Chat-Act-As`) the line is written before it is done, also when it is refused then; only what reads has none."
  })
)
