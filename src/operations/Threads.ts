import { placeFields } from "../domain/Page.ts"
import { InvalidRequest, NotFound, RateLimited, Unavailable } from "../domain/Problem.ts"
import { Thread, ThreadMark } from "../domain/Thread.ts"
import { message } from "./Fields.ts"
import { feature, operation } from "./Operation.ts"

/** The operations on threads. */
export const Threads = feature(
  { thread: "Threads of replies to a message" },
  operation("thread.list", {
    http: "GET /v1/conversations/:conversationId/messages/:messageId/thread",
    params: message,
    query: placeFields,
    success: Thread,
    problems: [InvalidRequest, NotFound, RateLimited, Unavailable],
    summary: "Get a thread",
    description:
      "Returns the root and a page of the replies in ascending `seq`, the newest page unless `before`, `after` or `around` is given. The message may be the root, even without replies, or any reply. A root that was sent before what I may see is hidden, and then only the replies that I may see are counted."
  }),
  operation("thread.mark", {
    http: "PUT /v1/conversations/:conversationId/messages/:messageId/thread/read",
    params: message,
    payload: ThreadMark,
    problems: [InvalidRequest, NotFound, Unavailable],
    summary: "Mark a thread as read",
    description:
      "Moves my marker in this thread forward to `seq`, at most to the last event. Reading the conversation does not move it, but replying in the thread does. Mentions in a thread count as unread until the marker passes them."
  })
)
