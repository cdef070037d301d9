import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Effect, type Layer } from "effect"
import { TestClock } from "effect/testing"
import type { NewConversation } from "../../../src/domain/Conversation.ts"
import { type ConversationId, UserId } from "../../../src/domain/Ids.ts"
import { conversationSubject, userSubject } from "../../../src/services/bus/Subjects.ts"
import { Blocks } from "../../../src/services/conversations/Blocks.ts"
import { ConversationChanges } from "../../../src/services/conversations/ConversationChanges.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { Members } from "../../../src/services/conversations/Members.ts"
import { ReadMarkers } from "../../../src/services/conversations/ReadMarkers.ts"
import { Users } from "../../../src/services/identity/Users.ts"
import { Log } from "../../../src/services/log/Log.ts"
import { Typing } from "../../../src/services/presence/Typing.ts"
import {
  append,
  Backstage,
  type Chat,
  cursorWith,
  dmOf,
  entryOf,
  groupOf,
  listen,
  nowhere,
  outcome,
  people,
  person,
  problem,
  refused,
  store,
  twoOfUs,
  until,
  wholeLog
} from "../../support/Chat.ts"

const nobody = UserId.make("00000000-0000-7000-8000-000000000000")
const all = { concurrency: "unbounded" } as const

const me = (userId: UserId, id: ConversationId) =>
  Conversations.use((conversations) => Effect.map(conversations.get(userId, id), (conversation) => conversation.me))

const userSeq = (userId: UserId) =>
  Conversations.use((conversations) => Effect.map(conversations.memberships(userId), (mine) => mine.userSeq))

const mark = (userId: UserId, id: ConversationId, seq: number, force?: boolean) =>
  ReadMarkers.use((markers) => markers.markRead(userId, id, { seq, ...(force !== undefined && { force }) }))

/** Lets a few milliseconds pass, because times are whole milliseconds. */
const tick = Effect.andThen(TestClock.adjust("5 millis"), TestClock.withLive(Effect.sleep("5 millis")))

/** All items of a list, read page by page. */
const pages = <A, E, R>(
  read: (page: {
    limit: number
    cursor?: string
  }) => Effect.Effect<{ readonly items: ReadonlyArray<A>; readonly nextCursor?: string }, E, R>,
  limit: number
) =>
  Effect.gen(function* () {
    const found: Array<A> = []
    let page = yield* read({ limit })
    while (page.nextCursor !== undefined) {
      assert.lengthOf(page.items, limit)
      found.push(...page.items)
      page = yield* read({ limit, cursor: page.nextCursor })
    }
    return [...found, ...page.items]
  })

/** The behaviour that every implementation of Conversations must have. */
export const conversationsContract = <E>(layer: Layer.Layer<Chat, E>) => {
  withLayer(layer)("Conversations: creating", (it) => {
    it.effect("a DM shows the other member to each of the two", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const users = yield* Users
        const [a, b] = [yield* person, yield* person]
        const heard = [yield* listen(userSubject(a)), yield* listen(userSubject(b))]
        const { conversation, created } = yield* conversations.create(a, { kind: "dm", userId: b })
        assert.isTrue(created)
        assert.deepInclude(conversation, {
          kind: "dm",
          title: null,
          avatarUrl: null,
          createdBy: a,
          seq: 1,
          lastActivityAt: conversation.createdAt,
          lastMessage: null,
          memberCount: 2
        })
        assert.deepStrictEqual(conversation.peer, yield* users.get(b))
        assert.deepStrictEqual(conversation.me, {
          role: "member",
          joinedSeq: 1,
          visibleFromSeq: 1,
          readSeq: 0,
          deliveredSeq: 0,
          unreadCount: 0,
          mentionCount: 0,
          mutedUntil: null,
          archived: false,
          pinned: false,
          notify: "all"
        })
        assert.deepStrictEqual(yield* conversations.get(a, conversation.id), conversation)
        assert.deepStrictEqual(yield* conversations.get(b, conversation.id), {
          ...conversation,
          peer: yield* users.get(a)
        })
        const signals = () => heard.map((events) => events.map(({ conversationId, event }) => [conversationId, event]))
        const signal = [conversation.id, "membership.changed"]
        yield* until(Effect.sync(() => heard.some((events) => events.length > 0)))
        // The other member sees the DM when it has a message.
        assert.deepStrictEqual(signals(), [[signal], []])
        yield* append(entryOf(conversation.id, a))
        yield* append(entryOf(conversation.id, a))
        yield* until(Effect.sync(() => heard.every((events) => events.length > 0)))
        assert.deepStrictEqual(signals(), [[signal], [signal]])
      })
    )

    it.effect("until its first message, a DM shows only to the user who opened it", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const seenBy = Effect.fnUntraced(function* (userId: UserId) {
          const { memberships, userSeq } = yield* conversations.memberships(userId)
          const { items } = yield* conversations.list(userId, { limit: 10 })
          return [items.length, memberships.filter(({ shown }) => shown).length, userSeq]
        })
        for (const opening of ["message", "batch", "message of the other one", "opening"] as const) {
          const [a, b] = [yield* person, yield* person]
          const id = yield* dmOf(a, b)
          assert.deepStrictEqual(yield* seenBy(a), [1, 1, 1], opening)
          assert.deepStrictEqual(yield* seenBy(b), [0, 0, 0], opening)
          assert.strictEqual((yield* conversations.get(b, id)).id, id, "the other one is a member")
          yield* ConversationChanges.use((changes) => changes.update(a, id, { messageLifetimeSeconds: 60 }))
          assert.deepStrictEqual(yield* seenBy(b), [0, 0, 0], "another event is no message")
          const heard = yield* listen(userSubject(b))
          if (opening === "opening") {
            const again = yield* conversations.create(b, { kind: "dm", userId: a })
            assert.deepStrictEqual([again.created, again.conversation.id], [false, id])
          } else if (opening === "batch") {
            yield* Effect.forEach([entryOf(id, a), entryOf(id, a), entryOf(id, b), entryOf(id, a)], append, all)
          } else yield* append(entryOf(id, opening === "message" ? a : b))
          assert.deepStrictEqual(yield* seenBy(b), [1, 1, 1], opening)
          assert.deepStrictEqual(yield* seenBy(a), [1, 1, 1], opening)
          yield* until(Effect.sync(() => heard.length > 0))
          yield* dmOf(b, a)
          yield* append(entryOf(id, a))
          assert.deepStrictEqual(
            heard.map(({ event }) => event),
            ["membership.changed"]
          )
        }
      })
    )

    it.effect("many first messages in one batch show each DM to its other member", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const [a, b] = [yield* person, yield* person]
        const others = yield* Effect.replicateEffect(person, 5)
        const ids = yield* Effect.forEach(others, (other) => dmOf(a, other))
        const group = yield* groupOf(b, a)
        yield* Effect.forEach([...ids, group, ...ids, group], (id) => append(entryOf(id, a)), all)
        for (const [i, other] of others.entries()) {
          const { items } = yield* conversations.list(other, { limit: 10 })
          assert.deepStrictEqual(
            items.map(({ id, me, seq }) => [id, me.unreadCount, seq]),
            [[ids[i], 2, 3]]
          )
        }
      })
    )

    it.effect("a user whom the creator of a DM has blocked cannot open it before having seen it", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const [a, b, c] = [yield* person, yield* person, yield* person]
        const block = (by: UserId, other: UserId) => Blocks.use((blocks) => blocks.add(by, other))
        const hidden = yield* dmOf(a, b)
        const open = yield* dmOf(c, a)
        yield* Effect.all([block(a, b), block(a, c)])
        assert.strictEqual(yield* outcome(conversations.create(b, { kind: "dm", userId: a })), "Forbidden")
        assert.deepStrictEqual(yield* conversations.list(b, { limit: 10 }), { items: [] })
        assert.strictEqual((yield* conversations.get(b, hidden)).id, hidden)
        assert.strictEqual(yield* dmOf(c, a), open, "who has opened it before finds it again")
        const fresh = yield* person
        yield* block(fresh, a)
        assert.strictEqual(yield* outcome(conversations.create(a, { kind: "dm", userId: fresh })), "Forbidden")
        assert.deepStrictEqual((yield* conversations.memberships(fresh)).memberships, [])
        assert.strictEqual(yield* outcome(conversations.create(fresh, { kind: "dm", userId: a })), "ok")
      })
    )

    it.effect("there is one DM for each pair, however often and by whichever of the two it is created", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const [a, b] = [yield* person, yield* person]
        const made = yield* Effect.forEach(
          Arr.range(1, 20),
          (n) =>
            n % 2 === 0
              ? conversations.create(a, { kind: "dm", userId: b })
              : conversations.create(b, { kind: "dm", userId: a }),
          all
        )
        assert.strictEqual(new Set(made.map(({ conversation }) => conversation.id)).size, 1)
        assert.strictEqual(made.filter(({ created }) => created).length, 1)
        const again = yield* conversations.create(b, { kind: "dm", userId: a })
        assert.isFalse(again.created)
        assert.lengthOf((yield* conversations.list(a, { limit: 10 })).items, 1)
        assert.lengthOf(yield* wholeLog(again.conversation.id), 1)
        assert.strictEqual(yield* userSeq(a), 1)
        assert.strictEqual(yield* userSeq(b), 1)
      })
    )

    it.effect("a DM with oneself has one member and counts nothing as unread", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const users = yield* Users
        const a = yield* person
        const id = yield* dmOf(a, a)
        assert.strictEqual(yield* dmOf(a, a), id)
        yield* append(entryOf(id, a))
        const conversation = yield* conversations.get(a, id)
        assert.deepStrictEqual(conversation.peer, yield* users.get(a))
        assert.strictEqual(conversation.memberCount, 1)
        assert.strictEqual(conversation.me.unreadCount, 0)
        assert.lengthOf((yield* Members.use((members) => members.list(a, id, { limit: 10 }))).items, 1)
        assert.notStrictEqual(yield* dmOf(a, yield* person), id)
      })
    )

    it.effect("a conversation with an unknown or deleted user is refused", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const [a, gone] = [yield* person, yield* person]
        yield* Backstage.use(({ deleteUser }) => deleteUser(gone))
        for (const userId of [nobody, gone]) {
          const direct = yield* problem(conversations.create(a, { kind: "dm", userId }))
          assert.deepInclude(direct, { status: 404 })
          const group = conversations.create(a, { kind: "group", title: "x", memberIds: [yield* person, userId] }, "k")
          assert.deepStrictEqual(yield* problem(group), direct)
        }
        assert.deepStrictEqual(yield* conversations.list(a, { limit: 10 }), { items: [] })
        assert.strictEqual(yield* userSeq(a), 0)
      })
    )

    it.effect("each creation makes another group, which its creator owns", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const [a, b, c] = [yield* person, yield* person, yield* person]
        const heard = yield* listen(userSubject(c))
        const group: NewConversation = {
          kind: "group",
          title: "Grüße 👋",
          avatarUrl: "https://example.com/a.png",
          memberIds: [b, c, b, a]
        }
        const { conversation, created } = yield* conversations.create(a, group)
        const { id } = conversation
        assert.isTrue(created)
        assert.deepInclude(conversation, {
          kind: "group",
          title: group.title,
          avatarUrl: "https://example.com/a.png",
          createdBy: a,
          seq: 1,
          peer: null,
          memberCount: 3
        })
        assert.strictEqual(conversation.me.role, "owner")
        assert.deepInclude(yield* me(b, id), { role: "member", joinedSeq: 1, visibleFromSeq: 1, readSeq: 0 })
        const [event] = yield* wholeLog(id)
        assert.deepStrictEqual(event?.data, { kind: "group", title: "Grüße 👋", memberCount: 3 })
        assert.notStrictEqual((yield* conversations.create(a, group)).conversation.id, id)
        yield* until(Effect.sync(() => heard.length === 2))
        const alone = yield* conversations.create(a, { kind: "group", title: "alone", memberIds: [] })
        assert.strictEqual(alone.conversation.memberCount, 1)
        assert.deepInclude(alone.conversation.me, { role: "owner" })
      })
    )

    it.effect("a group beyond the limits is refused", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const a = yield* person
        const path = (change: Partial<Extract<NewConversation, { kind: "group" }>>) =>
          refused(conversations.create(a, { kind: "group", title: "x", memberIds: [], ...change }))
        assert.strictEqual(yield* path({ title: "x".repeat(201) }), "title")
        assert.strictEqual(yield* path({ memberIds: Arr.replicate(nobody, 101) }), "memberIds")
        const longest = yield* conversations.create(a, { kind: "group", title: "x".repeat(200), memberIds: [] })
        assert.isTrue(longest.created)
      })
    )

    it.effect("an Idempotency-Key makes one group within a day", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const [a, b] = [yield* person, yield* person]
        const group: NewConversation = { kind: "group", title: "once", memberIds: [b] }
        const create = (key?: string, change: { title?: string } = {}) =>
          conversations.create(a, { ...group, ...change }, key)
        const made = yield* Effect.replicateEffect(create("key"), 10, all)
        const ids = new Set(made.map(({ conversation }) => conversation.id))
        assert.strictEqual(ids.size, 1)
        assert.strictEqual(made.filter(({ created }) => created).length, 1)
        assert.strictEqual(yield* outcome(create("key", { title: "other" })), "idempotency-key-reused")
        const others = [yield* create("another"), yield* create(), yield* conversations.create(b, group, "key")]
        for (const { conversation, created } of others) {
          assert.isTrue(created)
          assert.notInclude([...ids], conversation.id)
        }
        yield* Backstage.use(({ aDayPasses }) => aDayPasses)
        const later = yield* create("key", { title: "other" })
        assert.isTrue(later.created)
        assert.deepStrictEqual(yield* create("key", { title: "other" }), { ...later, created: false })
      })
    )
  })

  withLayer(layer)("Conversations: reading", (it) => {
    it.effect("lists the user's conversations by latest activity, page by page", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const a = yield* person
        const ids: Array<ConversationId> = []
        for (const _ of Arr.range(1, 7)) {
          ids.push(yield* groupOf(a))
          yield* tick
        }
        const left = yield* groupOf(yield* person, a)
        yield* Backstage.use(({ leave }) => leave(left, a))
        yield* groupOf(yield* person)
        const [, second = nowhere, , fourth = nowhere] = ids
        yield* append(entryOf(second, a))
        yield* tick
        const { message } = yield* store(entryOf(fourth, a))
        yield* Backstage.use(({ seeFrom }) => seeFrom(second, a, 3))
        const expected = [fourth, second, ...ids.toReversed().filter((id) => id !== second && id !== fourth)]
        for (const limit of [1, 3, 7, 200]) {
          const listed = yield* pages((page) => conversations.list(a, page), limit)
          assert.deepStrictEqual(
            listed.map(({ id }) => id),
            expected
          )
          assert.deepInclude(listed[0], { lastMessage: message, lastActivityAt: message.createdAt, seq: 2 })
          assert.deepInclude(listed[1], { lastMessage: null, seq: 2 }, "a message that I may not see")
        }
        const many = yield* conversations.getMany(a, [left, second, nowhere, fourth])
        assert.deepStrictEqual(new Set(many.map(({ id }) => id)), new Set([second, fourth]))
        assert.deepStrictEqual(yield* conversations.getMany(a, []), [])
      })
    )

    it.effect("lists conversations of the same moment once each", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const a = yield* person
        const ids = yield* Effect.replicateEffect(groupOf(a), 30, all)
        const listed = yield* pages((page) => conversations.list(a, page), 2)
        assert.deepStrictEqual(listed.map(({ id }) => id).sort(), ids.sort())
      })
    )

    it.effect("lists members in the order in which they joined, page by page", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const users = yield* Users
        const owner = yield* person
        const others = yield* people(6)
        const id = yield* groupOf(owner, ...others)
        const [gone = nobody, ...stay] = others
        yield* Backstage.use(({ leave }) => leave(id, gone))
        yield* append(entryOf(id, owner))
        for (const limit of [1, 2, 6, 200]) {
          const members = yield* pages((page) => Members.use((members) => members.list(owner, id, page)), limit)
          assert.deepStrictEqual(
            members.map(({ user }) => user),
            yield* users.getMany([owner, ...stay].sort())
          )
          for (const { joinedAt, readSeq, role, user } of members) {
            assert.strictEqual(role, user.id === owner ? "owner" : "member")
            assert.strictEqual(readSeq, user.id === owner ? 2 : 0)
            assert.match(joinedAt, /Z$/)
          }
        }
        assert.strictEqual((yield* conversations.get(owner, id)).memberCount, 6)
      })
    )

    it.effect("refuses a cursor of another list and an invalid limit", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const { a, id } = yield* twoOfUs
        const path = (request: { limit?: number; cursor?: string }) =>
          Effect.all([
            refused(conversations.list(a, { limit: 10, ...request })),
            refused(Members.use((members) => members.list(a, id, { limit: 10, ...request })))
          ])
        for (const cursor of [
          "",
          "%%%",
          "bm90IGpzb24",
          cursorWith(null),
          cursorWith({ at: 1e300, joinedSeq: 1e300, id }),
          cursorWith({ at: -8.64e15, joinedSeq: 0.5, id }),
          cursorWith({ at: 0.5, joinedSeq: "1", id })
        ]) {
          assert.deepStrictEqual(yield* path({ cursor }), ["cursor", "cursor"], cursor)
        }
        for (const place of [
          { at: 8.64e15, joinedSeq: Number.MAX_SAFE_INTEGER, id },
          { at: 0, joinedSeq: 0, id: "not an id" }
        ]) {
          assert.deepStrictEqual(yield* path({ cursor: cursorWith(place) }), ["ok", "ok"])
        }
        for (const limit of [0, 201, -1, Number.NaN]) {
          assert.deepStrictEqual(yield* path({ limit }), ["limit", "limit"])
        }
        assert.deepStrictEqual(yield* path({ limit: 200 }), ["ok", "ok"])
      })
    )

    it.effect("the memberships of a user come with their heads and the user's own seq", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        assert.deepStrictEqual(yield* conversations.memberships(yield* person), { userSeq: 0, memberships: [] })
        const { a, b, id } = yield* twoOfUs
        const group = yield* groupOf(b, a)
        const left = yield* groupOf(b, a)
        yield* Backstage.use(({ leave, seeFrom }) => Effect.all([leave(left, a), seeFrom(group, a, 2)]))
        const { message } = yield* store(entryOf(group, b))
        const { memberships, userSeq } = yield* conversations.memberships(a)
        assert.strictEqual(userSeq, 3)
        assert.deepStrictEqual(
          new Map(
            memberships.map(({ conversationId, seq, userSeq, visibleFromSeq }) => [
              conversationId,
              { seq, visibleFromSeq, userSeq }
            ])
          ),
          new Map([
            [id, { seq: 1, visibleFromSeq: 1, userSeq: 1 }],
            [group, { seq: 2, visibleFromSeq: 2, userSeq: 2 }]
          ])
        )
        const place = memberships.find(({ conversationId }) => conversationId === group)
        assert.strictEqual(place?.lastActivityAt.toISOString(), message.createdAt)
      })
    )
  })

  withLayer(layer)("Conversations: read markers and typing", (it) => {
    it.effect("a read marker moves forward and is published to the members", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        yield* Effect.forEach(Arr.range(1, 4), () => append(entryOf(id, a)))
        const heard = yield* listen(conversationSubject(id))
        assert.deepInclude(yield* me(b, id), { readSeq: 0, unreadCount: 4 })
        yield* mark(b, id, 3)
        assert.deepInclude(yield* me(b, id), { readSeq: 3, unreadCount: 2 })
        yield* mark(b, id, 2)
        assert.deepInclude(yield* me(b, id), { readSeq: 3, unreadCount: 2 })
        yield* mark(b, id, 99)
        assert.deepInclude(yield* me(b, id), { readSeq: 5, unreadCount: 0 })
        yield* mark(b, id, Number.MAX_SAFE_INTEGER)
        assert.deepInclude(yield* me(b, id), { readSeq: 5, unreadCount: 0 })
        assert.deepInclude(yield* me(a, id), { readSeq: 5, unreadCount: 0 })
        const marks = () => heard.filter(({ event }) => event === "read.marked")
        yield* until(Effect.sync(() => marks().length >= 2))
        assert.deepStrictEqual(
          marks().map(({ except, json, seq }) => ({ except, seq, frame: JSON.parse(json) })),
          [3, 5].map((seq) => ({
            except: null,
            seq: null,
            frame: { event: "read.marked", conversationId: id, data: { userId: b, seq } }
          }))
        )
        assert.strictEqual(yield* userSeq(b), 3)
      })
    )

    it.effect("only force moves it back, at most to where the member began", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        yield* Effect.forEach(Arr.range(1, 4), () => append(entryOf(id, a)))
        const { ack } = yield* append(entryOf(id, b))
        const heard = yield* listen(conversationSubject(id))
        assert.strictEqual((yield* me(b, id)).readSeq, ack.seq, "sending moves one's own marker")
        yield* mark(b, id, 2, true)
        assert.deepInclude(yield* me(b, id), { readSeq: 2, unreadCount: 3 })
        yield* mark(b, id, 2, true)
        yield* mark(b, id, 1, false)
        yield* Backstage.use(({ seeFrom }) => seeFrom(id, b, 2))
        yield* mark(b, id, 0, true)
        assert.deepInclude(yield* me(b, id), { readSeq: 1, unreadCount: 4 })
        yield* mark(b, id, 99, true)
        assert.deepInclude(yield* me(b, id), { readSeq: 6, unreadCount: 0 })
        yield* until(Effect.sync(() => heard.filter(({ event }) => event === "read.marked").length >= 3))
        assert.deepStrictEqual(
          heard.flatMap(({ event, json }) => (event === "read.marked" ? [JSON.parse(json).data.seq] : [])),
          [2, 1, 6]
        )
        assert.strictEqual(yield* userSeq(b), 4)
      })
    )

    it.effect("marks of one marker at once apply in the order of the calls", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const other = yield* dmOf(b, yield* person)
        yield* Effect.forEach(Arr.range(1, 9), () => append(entryOf(id, a)))
        const heard = yield* listen(conversationSubject(id))
        yield* Effect.forEach(
          [5, -2, 8, 3, -4, -7, 1, 6, -3],
          (seq) => Effect.all([mark(b, id, Math.abs(seq), seq < 0), mark(b, other, 1)], all),
          all
        )
        assert.strictEqual((yield* me(b, id)).readSeq, 3)
        assert.strictEqual((yield* me(b, other)).readSeq, 1)
        // Two for joining; 5, 2, 8, 4, 7, 3; the other's 1.
        assert.strictEqual(yield* userSeq(b), 2 + 6 + 1)
        yield* until(Effect.sync(() => heard.filter(({ event }) => event === "read.marked").length >= 6))
        assert.deepStrictEqual(
          heard.flatMap(({ event, json }) => (event === "read.marked" ? [JSON.parse(json).data.seq] : [])),
          [5, 2, 8, 4, 7, 3]
        )
      })
    )

    it.effect("marks of many conversations at once each take a user seq of their own", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const [a, b] = [yield* person, yield* person]
        const ids = yield* Effect.replicateEffect(groupOf(a, b), 25)
        yield* Effect.forEach(
          ids,
          (id, n) => Effect.all([mark(a, id, n % 2 === 0 ? 1 : Number.MAX_SAFE_INTEGER), mark(b, id, 1)], all),
          all
        )
        for (const user of [a, b]) {
          const { memberships, userSeq } = yield* conversations.memberships(user)
          assert.strictEqual(userSeq, 50)
          assert.deepStrictEqual(
            memberships.map((place) => place.userSeq).sort((x, y) => x - y),
            Arr.range(26, 50)
          )
        }
      })
    )

    it.effect("counts the visible messages of others, up to the cap", () =>
      Effect.gen(function* () {
        const [a, b] = [yield* person, yield* person]
        const id = yield* groupOf(a, b)
        yield* append(entryOf(id, b))
        yield* Effect.forEach(Arr.range(1, 99), () => append(entryOf(id, a)), all)
        assert.strictEqual((yield* me(b, id)).unreadCount, 99)
        assert.strictEqual((yield* me(a, id)).readSeq, 101)
        yield* Effect.replicateEffect(
          Effect.suspend(() => append(entryOf(id, a))),
          20,
          all
        )
        assert.strictEqual((yield* me(b, id)).unreadCount, 100)
        const second = yield* groupOf(a, b)
        yield* Effect.replicateEffect(
          Effect.suspend(() => append(entryOf(second, a))),
          3
        )
        assert.deepStrictEqual(yield* ReadMarkers.use((markers) => markers.unread(b)), {
          unreadCount: 103,
          mentionCount: 0
        })
        yield* Backstage.use(({ seeFrom }) => seeFrom(second, b, 4))
        assert.deepStrictEqual(yield* ReadMarkers.use((markers) => markers.unread(b)), {
          unreadCount: 101,
          mentionCount: 0
        })
        assert.strictEqual((yield* me(b, second)).unreadCount, 1)
        yield* Backstage.use(({ leave }) => leave(id, b))
        assert.deepStrictEqual(yield* ReadMarkers.use((markers) => markers.unread(b)), {
          unreadCount: 1,
          mentionCount: 0
        })
        assert.deepStrictEqual(yield* ReadMarkers.use((markers) => markers.unread(a)), {
          unreadCount: 0,
          mentionCount: 0
        })
      })
    )

    it.effect("typing reaches the others and takes no seq", () =>
      Effect.gen(function* () {
        const log = yield* Log
        const { a, id } = yield* twoOfUs
        const heard = yield* listen(conversationSubject(id))
        yield* Typing.use((typing) => typing.start(a, id))
        yield* Typing.use((typing) => typing.stop(a, id))
        yield* until(Effect.sync(() => heard.length >= 2))
        assert.deepStrictEqual(
          heard.map(({ except, json, seq }) => ({ except, seq, frame: JSON.parse(json) })),
          ["typing.started", "typing.stopped"].map((event) => ({
            except: a,
            seq: null,
            frame: { event, conversationId: id, data: { userId: a } }
          }))
        )
        assert.deepStrictEqual(yield* log.heads([id]), new Map([[id, 1]]))
      })
    )

    it.effect("a stranger and a former member get the answer for an unknown conversation", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const { a, b, id } = yield* twoOfUs
        yield* append(entryOf(id, a))
        yield* Backstage.use(({ leave }) => leave(id, b))
        const heard = yield* listen(conversationSubject(id))
        const answers = (conversationId: ConversationId, userId: UserId) =>
          Effect.all([
            problem(conversations.get(userId, conversationId)),
            problem(Members.use((members) => members.list(userId, conversationId, { limit: 10 }))),
            problem(mark(userId, conversationId, 1)),
            problem(mark(userId, conversationId, 0, true)),
            problem(Typing.use((typing) => typing.start(userId, conversationId))),
            problem(Typing.use((typing) => typing.stop(userId, conversationId)))
          ])
        const unknown = yield* answers(nowhere, a)
        for (const answer of unknown) assert.deepInclude(answer, { status: 404 })
        assert.deepStrictEqual(yield* answers(id, yield* person), unknown)
        assert.deepStrictEqual(yield* answers(id, b), unknown)
        assert.deepStrictEqual(yield* conversations.getMany(b, [id]), [])
        assert.deepStrictEqual(yield* conversations.list(b, { limit: 10 }), { items: [] })
        assert.deepStrictEqual((yield* conversations.memberships(b)).memberships, [])
        assert.strictEqual(yield* userSeq(b), 1)
        yield* Typing.use((typing) => typing.start(a, id))
        yield* until(Effect.sync(() => heard.some(({ event }) => event === "typing.started")))
        assert.deepStrictEqual(
          heard.filter(({ seq }) => seq === null).map(({ except }) => except),
          [a]
        )
      })
    )
  })
}
