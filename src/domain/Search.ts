import { Schema } from "effect"
import { ConversationId, UserId } from "./Ids.ts"
import { Instant } from "./Instant.ts"
import { Text } from "./Text.ts"

/**
 * What messages are searched for: all words of `query`, in any case; `"…"` for words in a row, `or` between two, `-`
 * before one that must not be there. `before` and `after` are times and leave out the moment itself.
 */
export const MessageSearch = Schema.Struct({
  query: Text.check(Schema.isMaxLength(256), Schema.isPattern(/\S/u, { message: "must not be empty" })).annotate({
    description: 'Words that must all be there; `"…"` for words in a row, `or` between two, `-` before one to leave out'
  }),
  conversationId: Schema.optionalKey(ConversationId).annotate({ description: "Only in this conversation of mine" }),
  senderId: Schema.optionalKey(UserId).annotate({ description: "Only what this user has sent" }),
  before: Schema.optionalKey(Instant).annotate({ description: "Only what was sent before this time (RFC 3339)" }),
  after: Schema.optionalKey(Instant).annotate({ description: "Only what was sent after this time (RFC 3339)" })
}).annotate({ identifier: "MessageSearch" })
export type MessageSearch = typeof MessageSearch.Type
