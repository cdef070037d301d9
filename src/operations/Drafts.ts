import { Draft, NewDraft } from "../domain/Draft.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { Conflict, InvalidRequest, NotFound, RateLimited, Unavailable } from "../domain/Problem.ts"
import { conversation } from "./Fields.ts"
import { feature, operation } from "./Operation.ts"

/** The operations on the caller's drafts. */
export const Drafts = feature(
  { draft: "Messages that I have begun to write" },
  operation("draft.set", {
    http: "PUT /v1/conversations/:conversationId/draft",
    params: conversation,
    payload: NewDraft,
    problems: [InvalidRequest, NotFound, Conflict, Unavailable],
    summary: "Save a draft",
    description:
      "Replaces my draft in this conversation; all of my devices get `draft.updated`. Sending a message does not clear the draft: the client that sends it does. The same draft again changes nothing. With `ifUserSeq`, the user seq up to which I know the draft, a draft that has changed since stays as it is: 409 `draft-changed`."
  }),
  operation("draft.clear", {
    http: "DELETE /v1/conversations/:conversationId/draft",
    params: conversation,
    problems: [NotFound, Unavailable],
    summary: "Clear a draft",
    description: "Succeeds also when there is no draft."
  }),
  operation("draft.list", {
    http: "GET /v1/drafts",
    query: pageFields,
    success: Page(Draft),
    problems: [InvalidRequest, RateLimited, Unavailable],
    summary: "List my drafts",
    description: "Lists the drafts in the conversations that I am a member of, the latest change first."
  })
)
