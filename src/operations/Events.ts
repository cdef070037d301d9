import { Schema } from "effect"
import { EventPage } from "../domain/Event.ts"
import { Seq } from "../domain/Ids.ts"
import { limitFields } from "../domain/Page.ts"
import { InvalidRequest, NotFound, RateLimited, Unavailable } from "../domain/Problem.ts"
import { Synced, SyncRequest } from "../domain/Sync.ts"
import { conversation } from "./Fields.ts"
import { feature, operation } from "./Operation.ts"

/** The operations with which a client fetches what it has missed. */
export const Events = feature(
  { events: "The log of a conversation, and what is new" },
  operation("events.pull", {
    http: "GET /v1/conversations/:conversationId/events",
    params: conversation,
    query: { ...limitFields, after: Schema.optionalKey(Seq) },
    success: EventPage,
    problems: [InvalidRequest, NotFound, RateLimited, Unavailable],
    summary: "Read the log",
    description:
      "Returns the durable changes of a conversation in the order of `seq`, without gaps. `head` is the last `seq` of the log: continue while the last item is below it."
  }),
  operation("events.sync", {
    http: "POST /v1/sync",
    payload: SyncRequest,
    success: Synced,
    problems: [InvalidRequest, RateLimited, Unavailable],
    summary: "Find out what a client is missing",
    description:
      "Compares the cursors of a client that reconnects with the current conversations of its user. It also finds conversations that moved in the list while the client was paging through it. An answer tells at most 500 conversations; with `more`, ask again with the cursors of what was added, and with the `userSeq` and the `nextCursor` of the answer as `cursor`."
  })
)
