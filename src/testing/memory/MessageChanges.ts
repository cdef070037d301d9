import { Clock, Effect, Layer } from "effect"
import type { ConversationId, MessageId, UserId } from "../../domain/Ids.ts"
import { namesIn } from "../../domain/Mentions.ts"
import { type MessageEdit, maxEdits } from "../../domain/Message.ts"
import type { HiddenChange } from "../../domain/Sync.ts"
import { encodeEphemeral, PubSub } from "../../services/bus/PubSub.ts"
import { userSubject } from "../../services/bus/Subjects.ts"
import { makeDeviceSync } from "../../services/conversations/DeviceSync.ts"
import { Log } from "../../services/log/Log.ts"
import { makeForward } from "../../services/messages/Forwards.ts"
import { MessageChanges } from "../../services/messages/MessageChanges.ts"
import {
  editProblems,
  isBlank,
  messageProblems,
  type RevisionRow,
  revisionCursor,
  tooLong,
  toRevision
} from "../../services/messages/MessageRules.ts"
import { checkLimit, pageOf } from "../../services/platform/Paging.ts"
import { Settings } from "../../services/platform/Settings.ts"
import { makeChangesMemory } from "./Changes.ts"
import { messageFor } from "./Log.ts"
import { mentionedBy } from "./Mentions.ts"
import { checkNotBlocked, Memory } from "./State.ts"

const now = Effect.map(Clock.currentTimeMillis, (millis) => new Date(millis))

/** Makes a function that replaces the body of a message, and keeps the old one as a revision. */
const makeRewrite = Effect.gen(function* () {
  const memory = yield* Memory
  const { conversations, users } = memory
  const { limits } = yield* Settings
  const { addEvent, amend, atomically } = yield* makeChangesMemory

  return Effect.fnUntraced(
    function* (userId: UserId, conversationId: ConversationId, messageId: MessageId, { body }: MessageEdit) {
      const { conversation, me, message } = yield* messageFor(conversations, userId, conversationId, messageId)
      const editedAt = yield* now
      yield* checkNotBlocked(memory, conversation, userId)
      if (message.senderId !== userId || message.type === "system") return yield* messageProblems.forbidden
      if (message.deletedAt !== null) return yield* messageProblems.deleted
      if (message.type === "text" && isBlank(body)) return yield* editProblems.blank
      if (message.body === body) return
      if (limits.editWindow > 0 && editedAt.getTime() > message.createdAt.getTime() + limits.editWindow)
        return yield* messageProblems["too-late"]
      if (message.revision > maxEdits) return yield* messageProblems["too-many-edits"]
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
})

const make = Effect.gen(function* () {
  const { conversations } = yield* Memory
  const log = yield* Log
  const pubsub = yield* PubSub
  const { limits } = yield* Settings
  const { amend, atomically, erase, nextUserSeq } = yield* makeChangesMemory
  const notifyDevices = yield* makeDeviceSync
  const rewrite = yield* makeRewrite
  const hides: Array<HiddenChange & { readonly userId: UserId; readonly userSeq: number }> = []

  return MessageChanges.of({
    edit: Effect.fnUntraced(function* (userId, conversationId, messageId, edit) {
      const wrong = tooLong(edit.body, limits)
      if (wrong !== undefined) return yield* wrong
      yield* rewrite(userId, conversationId, messageId, edit)
      return yield* log.message(userId, conversationId, messageId)
    }),
    delete: Effect.fnUntraced(
      function* (userId, conversationId, messageId) {
        const { conversation, me, message } = yield* messageFor(conversations, userId, conversationId, messageId)
        const sender = conversation.members.get(message.senderId)
        const isOfRank = sender?.leftSeq === null && sender.role !== "member"
        const isAllowed = conversation.kind === "group" && (me.role === "owner" || (me.role === "admin" && !isOfRank))
        if (message.senderId !== userId && !isAllowed) return yield* messageProblems.forbidden
        if (message.deletedAt !== null) return
        yield* erase(conversation, userId, message)
      },
      (work) => atomically(work)
    ),
    hide: Effect.fnUntraced(
      function* (userId, conversationId, messageId) {
        const { conversation, me, message } = yield* messageFor(conversations, userId, conversationId, messageId)
        if (message.hiddenFor.includes(userId)) return
        yield* amend(conversation, message.seq, { hiddenFor: [...message.hiddenFor, userId] })
        const userSeq = nextUserSeq(userId)
        conversation.members.set(userId, { ...me, userSeq })
        const data = { messageId, messageSeq: message.seq }
        hides.push({ userId, userSeq, conversationId, ...data })
        yield* pubsub.publish(userSubject(userId), [encodeEphemeral({ event: "message.hidden", conversationId, data })])
        yield* notifyDevices(userId, conversationId)
      },
      (hide) => atomically(hide)
    ),
    hiddenAfter: (userId, userSeq) =>
      Effect.sync(() =>
        hides.flatMap(({ conversationId, messageId, messageSeq, ...hide }) => {
          const me = conversations.get(conversationId)?.members.get(userId)
          const isSeen = me?.leftSeq === null && me.visibleFromSeq <= messageSeq
          if (hide.userId !== userId || hide.userSeq <= userSeq || !isSeen) return []
          return [{ conversationId, messageId, messageSeq }]
        })
      ),
    revisions: Effect.fnUntraced(function* (userId, conversationId, messageId, page) {
      yield* checkLimit(page, limits.pageSize)
      const before = page.cursor === undefined ? null : (yield* revisionCursor.decode(page.cursor)).revision
      const { message } = yield* messageFor(conversations, userId, conversationId, messageId)
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
  })
})

/** Changes of messages in `Memory`. */
export const layerMemory = Layer.effect(MessageChanges, make)
