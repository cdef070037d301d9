import { Clock, Effect } from "effect"
import type { ConversationId, MessageId, UserId } from "../domain/Ids.ts"
import { namesIn } from "../domain/Mentions.ts"
import type { MessageEdit } from "../domain/Message.ts"
import { makeChangesMemory } from "./ChangesMemory.ts"
import { pageOf } from "./ConversationRows.ts"
import { makeForward } from "./Forwards.ts"
import { Log } from "./Log.ts"
import { messageFor } from "./LogMemory.ts"
import { isBlocked, type LoggedMessage, Memory } from "./Memory.ts"
import { mentionedBy } from "./MentionsMemory.ts"
import type { MessageChanges } from "./MessageChanges.ts"
import {
  editProblems,
  isBlank,
  messageProblems,
  type RevisionRow,
  revisionCursor,
  tooLong,
  toRevision
} from "./MessageRules.ts"
import { makeTellDevices } from "./OwnDevices.ts"
import { checkLimit } from "./Paging.ts"
import { Settings } from "./Settings.ts"

/** What is left of a message that is deleted. */
export const tombstone = (deletedAt: Date): Partial<LoggedMessage> => ({
  body: "",
  payload: null,
  mentions: null,
  deletedAt,
  reactions: [],
  revisions: [],
  pinnedAt: null,
  ballots: new Map()
})

/** Changes of messages in `Memory`. */
export const makeMessageChangesMemory = Effect.gen(function* () {
  const memory = yield* Memory
  const { conversations, users } = memory
  const log = yield* Log
  const { limits } = yield* Settings
  const { addEvent, amend, atomically, nextUserSeq } = yield* makeChangesMemory
  const tellDevices = yield* makeTellDevices

  const now = Effect.map(Clock.currentTimeMillis, (millis) => new Date(millis))

  const rewrite = Effect.fnUntraced(
    function* (userId: UserId, conversationId: ConversationId, messageId: MessageId, { body }: MessageEdit) {
      const { conversation, me, message } = yield* messageFor(conversations, conversationId, userId, messageId)
      const editedAt = yield* now
      if (message.senderId !== userId) return yield* messageProblems.forbidden
      if (message.deletedAt !== null) return yield* messageProblems.deleted
      if (message.type === "text" && isBlank(body)) return yield* editProblems.blank
      if (message.body === body) return
      if (isBlocked(memory, conversation, userId)) return yield* messageProblems.blocked
      if (limits.editWindow > 0 && editedAt.getTime() > message.createdAt.getTime() + limits.editWindow)
        return yield* messageProblems["too-late"]
      const mentions = mentionedBy(conversation, users, me, namesIn(body))
      yield* amend(conversation, message.seq, {
        body,
        mentions: mentions.length === 0 ? null : mentions,
        editedAt,
        revision: message.revision + 1,
        revisions: [
          ...message.revisions,
          { revision: message.revision, body: message.body, createdAt: message.editedAt ?? message.createdAt }
        ]
      })
      const data = { messageId, messageSeq: message.seq }
      yield* addEvent(conversation, { event: "message.edited", actorId: userId, data })
    },
    (rewrite) => atomically(rewrite)
  )

  const service: MessageChanges["Service"] = {
    edit: Effect.fnUntraced(function* (userId, conversationId, messageId, edit) {
      const wrong = tooLong(edit.body, limits)
      if (wrong !== undefined) return yield* wrong
      yield* rewrite(userId, conversationId, messageId, edit)
      return yield* log.message(conversationId, userId, messageId)
    }),
    remove: Effect.fnUntraced(
      function* (userId, conversationId, messageId) {
        const { conversation, me, message } = yield* messageFor(conversations, conversationId, userId, messageId)
        const sender = conversation.members.get(message.senderId)
        const isOfRank = sender?.leftSeq === null && sender.role !== "member"
        const isAllowed = conversation.kind === "group" && (me.role === "owner" || (me.role === "admin" && !isOfRank))
        if (message.senderId !== userId && !isAllowed) return yield* messageProblems.forbidden
        if (message.deletedAt !== null) return
        yield* amend(conversation, message.seq, tombstone(yield* now))
        const data = { messageId, messageSeq: message.seq }
        yield* addEvent(conversation, { event: "message.deleted", actorId: userId, data })
      },
      (remove) => atomically(remove)
    ),
    hide: Effect.fnUntraced(
      function* (userId, conversationId, messageId) {
        const { conversation, me, message } = yield* messageFor(conversations, conversationId, userId, messageId)
        if (message.hiddenFor.includes(userId)) return
        yield* amend(conversation, message.seq, { hiddenFor: [...message.hiddenFor, userId] })
        conversation.members.set(userId, { ...me, userSeq: nextUserSeq(userId) })
        yield* tellDevices(userId, conversationId)
      },
      (hide) => atomically(hide)
    ),
    revisions: Effect.fnUntraced(function* (userId, conversationId, messageId, page) {
      yield* checkLimit(page, limits.pageSize)
      const before = page.cursor === undefined ? null : (yield* revisionCursor.decode(page.cursor)).revision
      const { message } = yield* messageFor(conversations, conversationId, userId, messageId)
      const { body, createdAt, deletedAt, editedAt, revision } = message
      if (deletedAt !== null) return { items: [] }
      const all: ReadonlyArray<RevisionRow> = [
        ...message.revisions,
        { revision, body, createdAt: editedAt ?? createdAt }
      ]
      const rows = all.toReversed().filter((row) => before === null || row.revision < before)
      return pageOf(rows, page.limit, rows.slice(0, page.limit).map(toRevision), revisionCursor.encode)
    }),
    forward: yield* makeForward
  }
  return service
})
