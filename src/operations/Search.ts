import { Message } from "../domain/Message.ts"
import { Page, pageFields } from "../domain/Page.ts"
import { InvalidRequest, NotFound, RateLimited, Unavailable } from "../domain/Problem.ts"
import { MessageSearch } from "../domain/Search.ts"
import { feature, operation } from "./Operation.ts"

/** The search over messages. */
export const Search = feature(
  {},
  operation("message.search", {
    http: "GET /v1/search/messages",
    query: { ...pageFields, ...MessageSearch.fields },
    success: Page(Message),
    problems: [InvalidRequest, NotFound, RateLimited, Unavailable],
    summary: "Search messages",
    description:
      "Searches the text of the messages that I may see, in all of my conversations or in one (404 when I am not a member of it). It finds words in any case and any script, without stemming, and the last word also as the beginning of a word; it does not find deleted messages. Matches are ranked a thousand at a time: the newest thousand, best first and the newer one first among equals, then the thousand before those. A page may have fewer items than `limit` while there is a `nextCursor`."
  })
)
