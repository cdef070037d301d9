import { hash, randomUUIDv7 } from "node:crypto"
import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import type { Role } from "../../src/domain/Conversation.ts"
import type { Event } from "../../src/domain/Event.ts"
import { ClientMessageId, ConversationId, MessageId, type UserId } from "../../src/domain/Ids.ts"
import type { NewMessage } from "../../src/domain/Message.ts"
import { Accounts } from "../../src/services/Accounts.ts"
import { Blocks } from "../../src/services/Blocks.ts"
import { ConversationChanges } from "../../src/services/ConversationChanges.ts"
import { Conversations } from "../../src/services/Conversations.ts"
import { Invites } from "../../src/services/Invites.ts"
import { Log, type NewEntry } from "../../src/services/Log.ts"
import { Members } from "../../src/services/Members.ts"
import { type MembershipRow, Memory } from "../../src/services/Memory.ts"
import { MessageChanges } from "../../src/services/MessageChanges.ts"
import { Messages } from "../../src/services/Messages.ts"
import { Pins } from "../../src/services/Pins.ts"
import { Polls } from "../../src/services/Polls.ts"
import { type Published, PubSub, type Subject } from "../../src/services/PubSub.ts"
import { Reactions } from "../../src/services/Reactions.ts"
import type { Sessions } from "../../src/services/Sessions.ts"
import type { Settings } from "../../src/services/Settings.ts"
import { Threads } from "../../src/services/Threads.ts"
import { Users } from "../../src/services/Users.ts"
import { accounts, someone } from "./Accounts.ts"

/** What only later features do to a conversation, and what only time does. */
export class Backstage extends Context.Service<
  Backstage,
  {
    readonly leave: (conversationId: ConversationId, userId: UserId) => Effect.Effect<void>
    readonly seeFrom: (conversationId: ConversationId, userId: UserId, seq: number) => Effect.Effect<void>
    readonly setRole: (conversationId: ConversationId, userId: UserId, role: Role) => Effect.Effect<void>
    readonly deleteUser: (userId: UserId) => Effect.Effect<void>
    /** Makes every Idempotency-Key and invite a day old. */
    readonly aDayPasses: Effect.Effect<void>
  }
>()("chat/test/Backstage") {
  static readonly layerTest = Layer.effect(
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

/** What `chat` provides. */
export type Chat =
  | Users
  | Sessions
  | Accounts
  | Blocks
  | Members
  | Invites
  | ConversationChanges
  | Conversations
  | Messages
  | MessageChanges
  | Reactions
  | Pins
  | Threads
  | Polls
  | Log
  | PubSub
  | Settings
  | Backstage

const groups = {
  fake: Layer.mergeAll(Accounts.layer, Invites.layerTest, ConversationChanges.layerTest).pipe(
    Layer.provideMerge(Members.layerTest)
  ),
  sql: Layer.mergeAll(Accounts.layer, Invites.layer, ConversationChanges.layer).pipe(Layer.provideMerge(Members.layer))
}

/** Everything that conversations stand on, but for the database. */
export const chat = {
  fake: Layer.mergeAll(
    Messages.layer,
    MessageChanges.layerTest,
    Reactions.layerTest,
    Pins.layerTest,
    Threads.layerTest,
    Polls.layerTest,
    Blocks.layerTest,
    groups.fake,
    Backstage.layerTest
  ).pipe(Layer.provideMerge(Layer.mergeAll(Log.layerTest, Conversations.layerTest)), Layer.provideMerge(accounts.fake)),
  sql: Layer.mergeAll(
    Messages.layer,
    MessageChanges.layer,
    Reactions.layer,
    Pins.layer,
    Threads.layer,
    Polls.layer,
    Blocks.layer,
    groups.sql,
    Backstage.layer
  ).pipe(Layer.provideMerge(Layer.mergeAll(Log.layer, Conversations.layer)), Layer.provideMerge(accounts.sql))
}

/** A new user's id. */
export const person = Users.use((users) => Effect.map(users.register(someone()), ({ id }) => id))

export const people = (count: number) => Effect.replicateEffect(person, count)

/** The id of the DM of two users. */
export const dmOf = (userId: UserId, peerId: UserId) =>
  Conversations.use((conversations) =>
    Effect.map(conversations.create(userId, { kind: "dm", userId: peerId }), ({ conversation }) => conversation.id)
  )

/** The id of a new group. */
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

export const nowhere = ConversationId.make("00000000-0000-7000-8000-000000000000")

let entries = 0

/** A message that has not been sent before. */
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
  return { ...entry, requestHash: hash("sha256", JSON.stringify([entry.body, entry.replyTo, entry.extra]), "buffer") }
}

/** The same request as another attempt makes it: a new message id. */
export const again = (entry: NewEntry): NewEntry => ({ ...entry, id: MessageId.make(randomUUIDv7()) })

export const append = (entry: NewEntry) => Log.use((log) => log.append(entry))

/** As `append`, for what must be stored as new. */
export const store = (entry: NewEntry) =>
  Effect.flatMap(append(entry), ({ ack, message }) =>
    message === null ? Effect.die(new Error("a duplicate")) : Effect.succeed({ ack, message })
  )

/** Posts a new message, and gives it as it was stored. */
export const post = (conversationId: ConversationId, senderId: UserId, change: Partial<NewMessage> = {}) =>
  Messages.use((messages) => {
    entries++
    const message = { clientMessageId: ClientMessageId.make(`p${entries}`), body: `post ${entries}`, ...change }
    return Effect.map(messages.post(senderId, conversationId, message), (sent) => sent.message)
  })

/** What is published on a subject from now on. */
export const listen = Effect.fnUntraced(function* (subject: Subject) {
  const heard: Array<Published> = []
  yield* PubSub.use((pubsub) => pubsub.subscribe(subject, (events) => heard.push(...events)))
  return heard
})

/** The whole log of a conversation, which must have no hole and no head beyond its end. */
export const wholeLog = Effect.fnUntraced(function* (id: ConversationId) {
  const log = yield* Log
  const head = (yield* log.heads([id])).get(id) ?? 0
  const events = yield* log.range(id, 0, head + 10)
  const seqs = events.map(({ seq }) => seq)
  const gapless = Array.from({ length: head }, (_, index) => index + 1)
  if (seqs.join() !== gapless.join()) return yield* Effect.die(new Error(`head ${head}, but seqs ${seqs.join()}`))
  return events
})

/** The messages among events. */
export const messagesIn = (events: ReadonlyArray<Event>) =>
  events.flatMap((event) => (event.event === "message.created" ? [event.data.message] : []))

/** The fields of a problem, to compare two of them, or "ok". */
export const problem = <A, E extends object, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.match(effect, { onFailure: (error): object | "ok" => ({ ...error }), onSuccess: () => "ok" })

/** The tag and code of a failure, or "ok". */
export const outcome = <A, E extends { readonly _tag: string; readonly code?: string }, R>(
  effect: Effect.Effect<A, E, R>
) => Effect.match(effect, { onFailure: (error) => error.code ?? error._tag, onSuccess: () => "ok" })

/** Which field of the request is refused, or what else comes of it. */
export const refused = <A, E extends { readonly _tag: string; readonly errors?: ReadonlyArray<{ path: string }> }, R>(
  effect: Effect.Effect<A, E, R>
) => Effect.match(effect, { onFailure: (error) => error.errors?.[0]?.path ?? error._tag, onSuccess: () => "ok" })

/** A cursor that holds something else than what was handed out. */
export const cursorWith = (place: unknown) => Buffer.from(JSON.stringify(place)).toString("base64url")

/** Waits for another process or fiber to get there. */
export const until = <E, R>(condition: Effect.Effect<boolean, E, R>) =>
  condition.pipe(
    Effect.tap((reached) => (reached ? Effect.void : Effect.promise(() => new Promise((go) => setTimeout(go, 2))))),
    Effect.repeat({ until: (reached) => reached })
  )
