import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { Draft, NewDraft } from "../domain/Draft.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { Authorization, JsonBody } from "./Middleware.ts"
import { conversationParams } from "./Params.ts"

const set = HttpApiEndpoint.put("set", "/v1/conversations/:id/draft", {
  params: conversationParams,
  payload: NewDraft,
  error: [InvalidRequest, NotFound, Unavailable]
})
  .middleware(JsonBody)
  .annotateMerge(
    OpenApi.annotations({
      summary: "Keep a draft",
      description:
        "Replaces my draft in this conversation; all of my devices get `draft.updated`. Sending a message does not clear it: the client that sends it does. Setting the same again changes nothing."
    })
  )

const clear = HttpApiEndpoint.delete("clear", "/v1/conversations/:id/draft", {
  params: conversationParams,
  error: [NotFound, Unavailable]
}).annotateMerge(OpenApi.annotations({ summary: "Clear a draft", description: "Succeeds when there is none too." }))

const list = HttpApiEndpoint.get("list", "/v1/drafts", {
  query: pageFields,
  success: Page(Draft),
  error: [InvalidRequest, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "My drafts",
    description: "Of the conversations that I am in, the latest change first."
  })
)

export class DraftGroup extends HttpApiGroup.make("draft")
  .add(set, clear, list)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ description: "What I have begun to write" })) {}
