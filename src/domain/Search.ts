import { Schema } from "effect"
import { ConversationId, UserId } from "./Ids.ts"
import { Text } from "./Text.ts"
import { DateFromTimestamp } from "./Time.ts"

/**
 * A search for messages. A message matches if it has all words of `query`, in upper or lower case; the last one may be the
 * beginning of a word. `"…"` searches for a phrase, `or` between two words accepts either, and `-` before a word excludes
 * it. `before` and `after` are exclusive.
 */
export const MessageSearch = Schema.Struct({
  query: Text.check(Schema.isMaxLength(256), Schema.isPattern(/\S/u, { message: "must not be empty" })).annotate({
    description:
      'The words that a message must have, the last of them as the beginning of a word; `"…"` is a phrase, `or` between two words accepts either, and `-` excludes a word, but not alone'
  }),
  conversationId: Schema.optionalKey(ConversationId).annotate({ description: "Search only in this conversation" }),
  senderId: Schema.optionalKey(UserId).annotate({ description: "Only messages of this sender" }),
  before: Schema.optionalKey(DateFromTimestamp).annotate({
    description: "Only messages sent before this time (RFC 3339)"
  }),
  after: Schema.optionalKey(DateFromTimestamp).annotate({
    description: "Only messages sent after this time (RFC 3339)"
  })
}).annotate({ identifier: "MessageSearch" })
export type MessageSearch = typeof MessageSearch.Type
