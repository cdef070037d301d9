import { HttpApiSchema } from "effect/http-api"
import { ExportLine } from "../domain/AccountExport.ts"
import { UserId } from "../domain/Ids.ts"
import { NotFound, Unavailable } from "../domain/Problem.ts"
import { feature, operation } from "./Operation.ts"

/** The operation that exports the data of a user. */
export const AccountExport = feature(
  {},
  operation("admin.exportAccount", {
    http: "GET /v1/server/admin/accounts/:userId/export",
    params: { userId: UserId },
    success: ExportLine,
    stream: true,
    overHttp: { success: HttpApiSchema.StreamNdjson({ schema: ExportLine }) },
    problems: [NotFound, Unavailable],
    scope: "admin",
    summary: "Export the data of an account",
    description:
      "One JSON object in each line: the profile, each conversation with the user's settings and then the user's messages in it and marks on messages (saved, hidden, reactions, votes), drafts, scheduled messages, blocks, sessions, and at last `end`. An export without `end` is not complete: ask again. 404 for an account that is deleted."
  })
)
