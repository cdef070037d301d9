import { PresenceChange, PresenceList, PresenceSubscription } from "../domain/Presence.ts"
import { InvalidRequest, Unavailable } from "../domain/Problem.ts"
import { userIdsInQuery } from "./Fields.ts"
import { feature, operation } from "./Operation.ts"

/** The operations on presence. */
export const Presence = feature(
  { presence: "Who is online" },
  operation("presence.get", {
    http: "GET /v1/presence",
    query: PresenceSubscription.fields,
    success: PresenceList,
    overHttp: { query: { userIds: userIdsInQuery } },
    problems: [InvalidRequest, Unavailable],
    summary: "Get the presence of users",
    description:
      "Returns one item for each of the users. A user who shares neither a group nor a direct conversation with messages with me, or with a block between us, appears as offline and never seen."
  }),
  operation("presence.set", {
    http: "PUT /v1/presence",
    payload: PresenceChange,
    problems: [InvalidRequest, Unavailable],
    summary: "Set my status",
    description: "The status holds for all my devices until it is set again. `invisible` appears as offline to others."
  })
)
