import { hash, randomUUIDv7 } from "node:crypto"
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import type { Role } from "../../src/domain/Conversation.ts"
import type { Event } from "../../src/domain/Event.ts"
import { ClientMessageId, ConversationId, MessageId, type UserId } from "../../src/domain/Ids.ts"
import type { NewMessage } from "../../src/domain/Message.ts"
import { PubSub } from "../../src/services/bus/PubSub.ts"
import type { Published, Subject } from "../../src/services/bus/Subjects.ts"
import { AccountClosing } from "../../src/services/conversations/AccountClosing.ts"
import { Blocks } from "../../src/services/conversations/Blocks.ts"
import { ConversationChanges } from "../../src/services/conversations/ConversationChanges.ts"
import type { MembershipRow } from "../../src/services/conversations/ConversationRows.ts"
import { Conversations } from "../../src/services/conversations/Conversations.ts"
import * as ConversationsSql from "../../src/services/conversations/ConversationsSql.ts"
import type { Invites } from "../../src/services/conversations/Invites.ts"
import * as InvitesSql from "../../src/services/conversations/InvitesSql.ts"
import type { Members } from "../../src/services/conversations/Members.ts"
import * as MembersSql from "../../src/services/conversations/MembersSql.ts"
import type { ReadMarkers } from "../../src/services/conversations/ReadMarkers.ts"
import * as ReadMarkersSql from "../../src/services/conversations/ReadMarkersSql.ts"
import type { Attachments } from "../../src/services/files/Attachments.ts"
import * as AttachmentsSql from "../../src/services/files/AttachmentsSql.ts"
import type { Blobs } from "../../src/services/files/Blobs.ts"
import { Images } from "../../src/services/files/Images.ts"
import type { Sessions } from "../../src/services/identity/Sessions.ts"
import { Users } from "../../src/services/identity/Users.ts"
import type { ChangeFeed } from "../../src/services/log/ChangeFeed.ts"
import type { NewEntry } from "../../src/services/log/Entry.ts"
import { Log } from "../../src/services/log/Log.ts"
import * as LogSql from "../../src/services/log/LogSql.ts"
import type { MessageChanges } from "../../src/services/messages/MessageChanges.ts"
import * as MessageChangesSql from "../../src/services/messages/MessageChangesSql.ts"
import { Messages } from "../../src/services/messages/Messages.ts"
import { Pins } from "../../src/services/messages/Pins.ts"
import { Polls } from "../../src/services/messages/Polls.ts"
import { Reactions } from "../../src/services/messages/Reactions.ts"
import { Stars } from "../../src/services/messages/Stars.ts"
import type { Threads } from "../../src/services/messages/Threads.ts"
import * as ThreadsSql from "../../src/services/messages/ThreadsSql.ts"
import type { Settings } from "../../src/services/platform/Settings.ts"
import { Typing } from "../../src/services/presence/Typing.ts"
import * as AttachmentsMemory from "../../src/testing/memory/Attachments.ts"
import * as BlobsMemory from "../../src/testing/memory/Blobs.ts"
import * as BlocksMemory from "../../src/testing/memory/Blocks.ts"
import * as ChangeFeedMemory from "../../src/testing/memory/ChangeFeed.ts"
import * as ConversationChangesMemory from "../../src/testing/memory/ConversationChanges.ts"
import * as ConversationsMemory from "../../src/testing/memory/Conversations.ts"
import * as InvitesMemory from "../../src/testing/memory/Invites.ts"
import * as LogMemory from "../../src/testing/memory/Log.ts"
import * as MembersMemory from "../../src/testing/memory/Members.ts"
import * as MessageChangesMemory from "../../src/testing/memory/MessageChanges.ts"
import * as PinsMemory from "../../src/testing/memory/Pins.ts"
import * as PollsMemory from "../../src/testing/memory/Polls.ts"
import * as ReactionsMemory from "../../src/testing/memory/Reactions.ts"
import * as ReadMarkersMemory from "../../src/testing/memory/ReadMarkers.ts"
import * as StarsMemory from "../../src/testing/memory/Stars.ts"
import { Memory } from "../../src/testing/memory/State.ts"
import * as ThreadsMemory from "../../src/testing/memory/Threads.ts"
import { accounts, someone } from "./Accounts.ts"

/** Changes of conversations that no service makes, such as the passing of time. */
export class Backstage extends Context.Service<
  Backstage,
  {
    /** Ends a membership, without an event. */
    readonly leave: (conversationId: ConversationId, userId: UserId) => Effect.Effect<void>
    /** Lets a member see messages from this seq on only. */
    readonly seeFrom: (conversationId: ConversationId, userId: UserId, seq: number) => Effect.Effect<void>
    /** Gives a member another role, without an event. */
    readonly setRole: (conversationId: ConversationId, userId: UserId, role: Role) => Effect.Effect<void>
    /** Marks the account as deleted. */
    readonly deleteUser: (userId: UserId) => Effect.Effect<void>
    /** Makes every Idempotency-Key and invite a day old. */
    readonly aDayPasses: Effect.Effect<void>
  }
>()("chat/test/Backstage") {
  static readonly layerMemory = Layer.effect(
    Backstage,
    Effect.map(Memory, ({ conversations, users }) => {
      const change = (id: ConversationId, userId: UserId, columns: Partial<MembershipRow>) =>
        Effect.sync(() => {
          const members = conversations.get(id)?.members
          const member = members?.get(userId)
          if (member !== undefined) members?.set(userId, { ...member, ...columns })
        })
      return Backstage.of({
        leave: (id, userId) => change(id, userId, { leftSeq: 1 }),
        seeFrom: (id, userId, seq) => change(id, userId, { visibleFromSeq: seq }),
        setRole: (id, userId, role) => change(id, userId, { role }),
        deleteUser: (userId) =>
          Effect.sync(() => {
            const user = users.get(userId)
            if (user !== undefined) users.set(userId, { ...user, deletedAt: new Date(0) })
          }),
        aDayPasses: TestClock.adjust("86401 seconds")
      })
    })
  )

  static readonly layer = Layer.effect(
    Backstage,
    Effect.map(SqlClient.SqlClient, (sql) => {
      const run = <A, E>(statement: Effect.Effect<A, E>) => Effect.asVoid(Effect.orDie(statement))
      return Backstage.of({
        leave: (id, userId) =>
          run(sql`UPDATE conversation_members SET left_seq = 1 WHERE conversation_id = ${id} AND user_id = ${userId}`),
        seeFrom: (id, userId, seq) =>
          run(sql`UPDATE conversation_members SET visible_from_seq = ${seq}
            WHERE conversation_id = ${id} AND user_id = ${userId}`),
        setRole: (id, userId, role) =>
          run(
            sql`UPDATE conversation_members SET role = ${role} WHERE conversation_id = ${id} AND user_id = ${userId}`
          ),
        deleteUser: (userId) => run(sql`UPDATE users SET deleted_at = clock_timestamp() WHERE id = ${userId}`),
        aDayPasses: Effect.andThen(
          run(sql`UPDATE idempotency_keys SET created_at = created_at - interval '24 hours 1 second'`),
          run(sql`UPDATE invites SET created_at = created_at - interval '24 hours 1 second',
            expires_at = expires_at - interval '24 hours 1 second'`)
        )
      })
    })
  )
}

/** The services that `chat` provides. */
export type Chat =
  | Users
  | Sessions
  | AccountClosing
  | Blocks
  | Members
  | Invites
  | ConversationChanges
  | Conversations
  | ReadMarkers
  | Typing
  | Messages
  | MessageChanges
  | Reactions
  | Pins
  | Stars
  | Threads
  | Polls
  | Log
  | ChangeFeed
  | Attachments
  | Blobs
  | PubSub
  | Settings
  | Backstage

const groups = {
  fake: Layer.mergeAll(AccountClosing.layer, InvitesMemory.layerMemory, ConversationChangesMemory.layerMemory).pipe(
    Layer.provideMerge(MembersMemory.layerMemory)
  ),
  sql: Layer.mergeAll(AccountClosing.layer, InvitesSql.layer, ConversationChanges.layer).pipe(
    Layer.provideMerge(MembersSql.layer)
  )
}

/** All services that conversations need, except for the database. */
export const chat = {
  fake: Layer.mergeAll(
    Messages.layer,
    MessageChangesMemory.layerMemory,
    ReactionsMemory.layerMemory,
    PinsMemory.layerMemory,
    StarsMemory.layerMemory,
    ThreadsMemory.layerMemory,
    PollsMemory.layerMemory,
    BlocksMemory.layerMemory,
    ReadMarkersMemory.layerMemory,
    Typing.layer,
    groups.fake,
    Backstage.layerMemory
  ).pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        LogMemory.layerMemory,
        ChangeFeedMemory.layerMemory,
        ConversationsMemory.layerMemory,
        AttachmentsMemory.layerMemory
      )
    ),
    Layer.provideMerge(Layer.mergeAll(BlobsMemory.layerMemory, Images.layerNone, accounts.fake))
  ),
  sql: Layer.mergeAll(
    Messages.layer,
    MessageChangesSql.layer,
    Reactions.layer,
    Pins.layer,
    Stars.layer,
    ThreadsSql.layer,
    Polls.layer,
    Blocks.layer,
    ReadMarkersSql.layer,
    Typing.layer,
    groups.sql,
    Backstage.layer
  ).pipe(
    Layer.provideMerge(Layer.mergeAll(LogSql.layer, ConversationsSql.layer, AttachmentsSql.layer)),
    Layer.provideMerge(Layer.mergeAll(BlobsMemory.layerMemory, Images.layerNone, accounts.sql))
  )
}

/** Makes a new user, and returns the id. */
export const person = Users.use((users) => Effect.map(users.register(someone()), ({ id }) => id))

/** Makes `count` new users, and returns their ids. */
export const people = (count: number) => Effect.replicateEffect(person, count)

/** Opens the DM of two users, and returns its id. */
export const dmOf = (userId: UserId, peerId: UserId) =>
  Conversations.use((conversations) =>
    Effect.map(conversations.create(userId, { kind: "dm", userId: peerId }), ({ conversation }) => conversation.id)
  )

/** Makes a new group, and returns its id. */
export const groupOf = (ownerId: UserId, ...memberIds: ReadonlyArray<UserId>) =>
  Conversations.use((conversations) =>
    Effect.map(
      conversations.create(ownerId, { kind: "group", title: "Group", memberIds }),
      ({ conversation }) => conversation.id
    )
  )

/** Two new users and their DM. */
export const twoOfUs = Effect.gen(function* () {
  const [a, b] = [yield* person, yield* person]
  return { a, b, id: yield* dmOf(a, b) }
})

/** The id of no conversation. */
export const nowhere = ConversationId.make("00000000-0000-7000-8000-000000000000")

let entries = 0

/** A message that was not sent before. */
export const entryOf = (
  conversationId: ConversationId,
  senderId: UserId,
  change: Partial<Omit<NewEntry, "requestHash">> = {}
): NewEntry => {
  entries++
  const entry = {
    id: MessageId.make(randomUUIDv7()),
    conversationId,
    senderId,
    clientMessageId: ClientMessageId.make(`m${entries}`),
    type: "text" as const,
    body: `message ${entries}`,
    replyTo: null,
    extra: null,
    ...change
  }
  return { ...entry, requestHash: hash("sha256", JSON.stringify([entry.body, entry.replyTo, entry.extra]), "hex") }
}

/** The same request as a retry would make it: with a new message id. */
export const again = (entry: NewEntry): NewEntry => ({ ...entry, id: MessageId.make(randomUUIDv7()) })

/** Appends an entry to the log. */
export const append = (entry: NewEntry) => Log.use((log) => log.append(entry))

/** Appends an entry, which must be stored as a new message. */
export const store = (entry: NewEntry) =>
  Effect.flatMap(append(entry), ({ ack, message }) =>
    message === null ? Effect.die(new Error("a duplicate")) : Effect.succeed({ ack, message })
  )

/** Posts a new message, and returns it as it was stored. */
export const post = (conversationId: ConversationId, senderId: UserId, change: Partial<NewMessage> = {}) =>
  Messages.use((messages) => {
    entries++
    const message = { clientMessageId: ClientMessageId.make(`p${entries}`), body: `post ${entries}`, ...change }
    return Effect.map(messages.post(senderId, conversationId, message), (sent) => sent.message)
  })

/** Collects the events that are published on a subject from now on. */
export const listen = Effect.fnUntraced(function* (subject: Subject) {
  const heard: Array<Published> = []
  yield* PubSub.use((pubsub) => pubsub.subscribe(subject, (events) => heard.push(...events)))
  return heard
})

/** The whole log of a conversation, which must have no gaps, and end at its head. */
export const wholeLog = Effect.fnUntraced(function* (id: ConversationId) {
  const log = yield* Log
  const head = (yield* log.heads([id])).get(id) ?? 0
  const events = yield* log.range(id, 0, head + 10)
  const seqs = events.map(({ seq }) => seq)
  const gapless = Array.from({ length: head }, (_, index) => index + 1)
  if (seqs.join() !== gapless.join()) return yield* Effect.die(new Error(`head ${head}, but seqs ${seqs.join()}`))
  return events
})

/** The messages in a list of events. */
export const messagesIn = (events: ReadonlyArray<Event>) =>
  events.flatMap((event) => (event.event === "message.created" ? [event.data.message] : []))

/** The fields of a problem, to compare two of them, or "ok". */
export const problem = <A, E extends object, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.match(effect, { onFailure: (error): object | "ok" => ({ ...error }), onSuccess: () => "ok" })

/** The tag and code of a failure, or "ok". */
export const outcome = <A, E extends { readonly _tag: string; readonly code?: string }, R>(
  effect: Effect.Effect<A, E, R>
) => Effect.match(effect, { onFailure: (error) => error.code ?? error._tag, onSuccess: () => "ok" })

/** The field of the request that is refused, or the tag of another failure, or "ok". */
export const refused = <A, E extends { readonly _tag: string; readonly errors?: ReadonlyArray<{ path: string }> }, R>(
  effect: Effect.Effect<A, E, R>
) => Effect.match(effect, { onFailure: (error) => error.errors?.[0]?.path ?? error._tag, onSuccess: () => "ok" })

/** A cursor with another content than the service gives out. */
export const cursorWith = (place: unknown) => Buffer.from(JSON.stringify(place)).toString("base64url")

/** Waits until the condition holds, which another process or fiber brings about. */
export const until = <E, R>(condition: Effect.Effect<boolean, E, R>) =>
  condition.pipe(
    Effect.tap((reached) => (reached ? Effect.void : Effect.promise(() => new Promise((go) => setTimeout(go, 2))))),
    Effect.repeat({ until: (reached) => reached })
  )
