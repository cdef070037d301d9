import { SessionId } from "../domain/Ids.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { Forbidden, InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { Session } from "../domain/Session.ts"
import { feature, operation } from "./Operation.ts"

/** The operations on the caller's sessions. */
export const Sessions = feature(
  { session: "My signed-in devices" },
  operation("session.list", {
    http: "GET /v1/sessions",
    query: pageFields,
    success: Page(Session),
    problems: [Forbidden, InvalidRequest, Unavailable],
    summary: "List my sessions",
    description: "Lists the devices that I am signed in on, newest first."
  }),
  operation("session.end", {
    http: "DELETE /v1/sessions/:sessionId",
    params: { sessionId: SessionId },
    problems: [Forbidden, NotFound, Unavailable],
    summary: "End a session",
    description: "Signs out one of my devices: its tokens stop working, and its sockets are closed within a second."
  })
)
