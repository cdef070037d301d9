import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { placeFields } from "../domain/Page.ts"
import { InvalidRequest, NotFound, Unavailable } from "../domain/Problem.ts"
import { Thread, ThreadMark } from "../domain/Thread.ts"
import { Authorization, JsonBody } from "./Middleware.ts"
import { messageParams } from "./Params.ts"

const list = HttpApiEndpoint.get("list", "/v1/conversations/:id/messages/:messageId/thread", {
  params: messageParams,
  query: placeFields,
  success: Thread,
  error: [InvalidRequest, NotFound, Unavailable]
}).annotateMerge(
  OpenApi.annotations({
    summary: "A thread",
    description:
      "Its root and a page of the replies in ascending `seq`, the newest one unless `before`, `after` or `around` says otherwise. The message may be the root, also one without replies, or any reply. A root that lies before what I may see is hidden, and then only the replies that I may see are counted."
  })
)

const mark = HttpApiEndpoint.put("mark", "/v1/conversations/:id/messages/:messageId/thread/read", {
  params: messageParams,
  payload: ThreadMark,
  error: [InvalidRequest, NotFound, Unavailable]
})
  .middleware(JsonBody)
  .annotateMerge(
    OpenApi.annotations({
      summary: "Mark a thread as read",
      description:
        "Moves my marker in this thread forward to `seq`, at most to the last event. Reading the conversation does not move it, replying in the thread does. Mentions in a thread are counted until it passes them."
    })
  )

export class ThreadGroup extends HttpApiGroup.make("thread")
  .add(list, mark)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ description: "Replies to a message, beside the conversation" })) {}
