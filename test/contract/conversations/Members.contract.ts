import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Effect, type Layer } from "effect"
import type { Role } from "../../../src/domain/Conversation.ts"
import type { Event } from "../../../src/domain/Event.ts"
import { ClientMessageId, type ConversationId, UserId } from "../../../src/domain/Ids.ts"
import { conversationSubject, userSubject } from "../../../src/services/bus/Subjects.ts"
import { Blocks } from "../../../src/services/conversations/Blocks.ts"
import { ConversationChanges } from "../../../src/services/conversations/ConversationChanges.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { Members } from "../../../src/services/conversations/Members.ts"
import { Messages } from "../../../src/services/messages/Messages.ts"
import { Settings } from "../../../src/services/platform/Settings.ts"
import {
  Backstage,
  type Chat,
  groupOf,
  listen,
  nowhere,
  outcome,
  people,
  person,
  problem,
  refused,
  twoOfUs,
  until,
  wholeLog
} from "../../support/Chat.ts"

const nobody = UserId.make("00000000-0000-7000-8000-000000000000")
const all = { concurrency: "unbounded" } as const

const add = (userId: UserId, id: ConversationId, ...userIds: ReadonlyArray<UserId>) =>
  Members.use((members) => members.add(userId, id, userIds))
const remove = (userId: UserId, id: ConversationId, memberId: UserId) =>
  Members.use((members) => members.remove(userId, id, memberId))
const leave = (userId: UserId, id: ConversationId) => Members.use((members) => members.leave(userId, id))
const promote = (userId: UserId, id: ConversationId, memberId: UserId, role: Role) =>
  Members.use((members) => members.update(userId, id, memberId, role))
const update = (userId: UserId, id: ConversationId, change: Parameters<ConversationChanges["Service"]["update"]>[2]) =>
  ConversationChanges.use((changes) => changes.update(userId, id, change))
const settings = (
  userId: UserId,
  id: ConversationId,
  change: Parameters<ConversationChanges["Service"]["settings"]>[2]
) => ConversationChanges.use((changes) => changes.settings(userId, id, change))

const get = (userId: UserId, id: ConversationId) => Conversations.use((conversations) => conversations.get(userId, id))
const me = (userId: UserId, id: ConversationId) => Effect.map(get(userId, id), (conversation) => conversation.me)
const userSeq = (userId: UserId) =>
  Conversations.use((conversations) => Effect.map(conversations.memberships(userId), (mine) => mine.userSeq))

const roles = (userId: UserId, id: ConversationId) =>
  Members.use((members) =>
    Effect.map(
      members.list(userId, id, { limit: 50 }),
      ({ items }) => new Map(items.map(({ role, user }) => [user.id, role]))
    )
  )

let texts = 0

const say = (userId: UserId, id: ConversationId) =>
  Messages.use((messages) =>
    messages.send(userId, id, { clientMessageId: ClientMessageId.make(`g${++texts}`), body: "x" })
  )

/** The history and the log as the member sees them. */
const seen = (userId: UserId, id: ConversationId) =>
  Messages.use((messages) =>
    Effect.all([
      Effect.map(messages.list(userId, id, { limit: 50 }), ({ items }) => items.map(({ seq }) => seq)),
      Effect.map(messages.events(userId, id, { after: 0, limit: 50 }), ({ items }) => items.map(({ seq }) => seq))
    ])
  )

/** The events with their actors, without their places in the log. */
const logged = (events: ReadonlyArray<Event>) =>
  events.slice(1).map(({ actorId, data, event }) => [event, actorId, data])

/** A group of an owner, an admin and two members. */
const staffed = Effect.gen(function* () {
  const [owner, admin, b, c] = [yield* person, yield* person, yield* person, yield* person]
  const id = yield* groupOf(owner, admin, b, c)
  yield* promote(owner, id, admin, "admin")
  return { owner, admin, b, c, id }
})

/** The behaviour that every implementation of Members and ConversationChanges must have. */
export const membersContract = <E>(layer: Layer.Layer<Chat, E>) => {
  withLayer(layer)("Members: joining", (it) => {
    it.effect("each added user makes an event, gets a signal, and sees the history from there on", () =>
      Effect.gen(function* () {
        const [a, b, c] = [yield* person, yield* person, yield* person]
        const id = yield* groupOf(a)
        yield* say(a, id)
        const heard = yield* listen(conversationSubject(id))
        const signals = yield* listen(userSubject(b))
        const { added, items } = yield* add(a, id, c, b)
        assert.isTrue(added)
        assert.deepStrictEqual(
          items.map(({ role, user }) => [user.id, role]),
          [
            [c, "member"],
            [b, "member"]
          ]
        )
        const events = (yield* wholeLog(id)).slice(2)
        assert.deepStrictEqual(
          events.map(({ actorId, data, event, seq }) => [seq, event, actorId, "user" in data && data.user.id]),
          [
            [3, "member.joined", a, c],
            [4, "member.joined", a, b]
          ]
        )
        const joins = () => heard.filter(({ event }) => event === "member.joined")
        yield* until(Effect.sync(() => joins().length === 2 && signals.length === 1))
        assert.deepStrictEqual(
          joins().map(({ json }) => JSON.parse(json)),
          events
        )
        assert.deepInclude(signals[0], { event: "membership.changed", conversationId: id })
        assert.deepInclude(yield* me(b, id), { joinedSeq: 4, visibleFromSeq: 4, readSeq: 3, unreadCount: 0 })
        assert.strictEqual(yield* userSeq(b), 1)
        yield* say(a, id)
        assert.deepStrictEqual(yield* seen(b, id), [[5], [4, 5]])
        assert.strictEqual((yield* get(b, id)).memberCount, 3)
      })
    )

    it.effect(
      "with historyForNewMembers all a new member sees everything, and earlier memberships stay as they are",
      () =>
        Effect.gen(function* () {
          const [a, b, c] = [yield* person, yield* person, yield* person]
          const id = yield* groupOf(a)
          yield* say(a, id)
          yield* add(a, id, b)
          const updated = yield* update(a, id, { historyForNewMembers: "all" })
          assert.strictEqual(updated.historyForNewMembers, "all")
          yield* add(a, id, c)
          assert.deepInclude(yield* me(c, id), { joinedSeq: 5, visibleFromSeq: 1, readSeq: 0, unreadCount: 1 })
          assert.deepStrictEqual(yield* seen(c, id), [[2], [1, 2, 3, 4, 5]])
          assert.deepStrictEqual(yield* seen(b, id), [[], [3, 4, 5]])
        })
    )

    it.effect("adding a member again changes nothing", () =>
      Effect.gen(function* () {
        const { admin, b, id, owner } = yield* staffed
        const before = yield* wholeLog(id)
        const again = yield* add(owner, id, admin, b, admin)
        assert.isFalse(again.added)
        assert.deepStrictEqual(
          again.items.map(({ role }) => role),
          ["admin", "member"]
        )
        assert.deepStrictEqual(yield* wholeLog(id), before)
        const more = yield* person
        assert.isTrue((yield* add(owner, id, b, more)).added)
        assert.lengthOf(yield* wholeLog(id), before.length + 1)
      })
    )

    it.effect("joining again replaces the earlier membership", () =>
      Effect.gen(function* () {
        const { admin, id, owner } = yield* staffed
        yield* say(owner, id)
        yield* settings(admin, id, { archived: true })
        yield* leave(admin, id)
        yield* say(owner, id)
        yield* add(owner, id, admin)
        yield* say(owner, id)
        assert.deepInclude(yield* me(admin, id), {
          role: "member",
          joinedSeq: 6,
          visibleFromSeq: 6,
          archived: false,
          readSeq: 5,
          deliveredSeq: 5,
          unreadCount: 1
        })
        assert.deepStrictEqual(yield* seen(admin, id), [[7], [6, 7]])
      })
    )

    it.effect(
      "all users are added, or none if one of them is unknown, deleted or blocks the actor, or if there is too little room",
      () =>
        Effect.gen(function* () {
          const { groupMembers } = (yield* Settings).limits
          const { admin, id, owner } = yield* staffed
          const [x, gone, y] = [yield* person, yield* person, yield* person]
          yield* Backstage.use(({ deleteUser }) => deleteUser(gone))
          yield* Blocks.use((blocks) => blocks.add(y, admin))
          for (const bad of [nobody, gone]) assert.strictEqual(yield* outcome(add(owner, id, x, bad)), "NotFound")
          assert.strictEqual(yield* outcome(add(admin, id, x, y)), "Forbidden")
          assert.strictEqual(yield* refused(add(owner, id)), "userIds")
          assert.strictEqual(yield* refused(add(owner, id, ...Arr.replicate(x, 101))), "userIds")
          assert.isAbove(groupMembers, 100)
          assert.lengthOf(yield* wholeLog(id), 2)
          yield* add(owner, id, x, y)
          assert.lengthOf(yield* wholeLog(id), 4)
        })
    )

    it.effect("each of many concurrent changes and messages takes a seq of its own", () =>
      Effect.gen(function* () {
        const a = yield* person
        const id = yield* groupOf(a)
        const others = yield* people(12)
        yield* Effect.forEach(
          Arr.chunksOf(others, 3),
          (some) => Effect.all([add(a, id, ...some, others[0] ?? a), say(a, id)], all),
          all
        )
        const events = yield* wholeLog(id)
        const joined = events.filter(({ event }) => event === "member.joined")
        assert.lengthOf(joined, 12)
        assert.lengthOf(events, 1 + 12 + 4)
        for (const userId of others) assert.strictEqual(yield* userSeq(userId), 1)
      })
    )
  })

  withLayer(layer)("Members: leaving", (it) => {
    it.effect("a member who leaves or is removed sees nothing more, and gets a signal", () =>
      Effect.gen(function* () {
        const { b, c, id, owner } = yield* staffed
        const signals = yield* listen(userSubject(b))
        yield* remove(owner, id, b)
        yield* leave(c, id)
        yield* say(owner, id)
        assert.deepStrictEqual(logged(yield* wholeLog(id)).slice(1, 3), [
          ["member.left", owner, { userId: b, removed: true }],
          ["member.left", c, { userId: c, removed: false }]
        ])
        yield* until(Effect.sync(() => signals.length === 1))
        const unknown = yield* problem(seen(owner, nowhere))
        for (const userId of [b, c]) {
          assert.deepStrictEqual(yield* problem(seen(userId, id)), unknown)
          assert.deepStrictEqual(yield* problem(say(userId, id)), unknown)
          assert.deepStrictEqual(yield* problem(leave(userId, id)), unknown)
          assert.deepStrictEqual(yield* problem(add(userId, id, yield* person)), unknown)
          assert.strictEqual(yield* userSeq(userId), 2)
        }
        assert.strictEqual((yield* get(owner, id)).memberCount, 2)
      })
    )

    it.effect("removing a former member again changes nothing, and a user who was never a member is not found", () =>
      Effect.gen(function* () {
        const { b, id, owner } = yield* staffed
        yield* remove(owner, id, b)
        const before = yield* wholeLog(id)
        yield* remove(owner, id, b)
        assert.strictEqual(yield* outcome(remove(owner, id, yield* person)), "NotFound")
        assert.deepStrictEqual(yield* wholeLog(id), before)
      })
    )

    it.effect("the last owner's role passes to the longest-serving admin, or else member", () =>
      Effect.gen(function* () {
        const [owner, first, admin, later] = [yield* person, yield* person, yield* person, yield* person]
        const id = yield* groupOf(owner)
        for (const userId of [first, admin, later]) yield* add(owner, id, userId)
        for (const userId of [later, admin]) yield* promote(owner, id, userId, "admin")
        yield* leave(owner, id)
        assert.deepStrictEqual(logged(yield* wholeLog(id)).slice(-2), [
          ["member.role-changed", owner, { userId: admin, role: "owner" }],
          ["member.left", owner, { userId: owner, removed: false }]
        ])
        // Removing oneself is leaving.
        yield* remove(admin, id, admin)
        yield* leave(later, id)
        assert.deepStrictEqual([...(yield* roles(first, id))], [[first, "owner"]])
      })
    )

    it.effect("with another owner no role passes", () =>
      Effect.gen(function* () {
        const { b, id, owner } = yield* staffed
        yield* promote(owner, id, b, "owner")
        yield* leave(owner, id)
        assert.deepStrictEqual(logged(yield* wholeLog(id)).at(-2), [
          "member.role-changed",
          owner,
          { userId: b, role: "owner" }
        ])
        assert.strictEqual((yield* roles(b, id)).get(b), "owner")
      })
    )

    it.effect("two owners who leave at once leave a group with an owner", () =>
      Effect.gen(function* () {
        for (const _ of Arr.range(1, 5)) {
          const { b, c, id, owner } = yield* staffed
          yield* promote(owner, id, b, "owner")
          yield* Effect.all([leave(owner, id), leave(b, id), say(c, id)], all)
          const left = yield* roles(c, id)
          assert.strictEqual([...left.values()].filter((role) => role === "owner").length, 1)
          yield* wholeLog(id)
        }
      })
    )

    it.effect("with its last member a group is closed", () =>
      Effect.gen(function* () {
        const a = yield* person
        const id = yield* groupOf(a)
        yield* leave(a, id)
        assert.deepStrictEqual(logged(yield* wholeLog(id)), [["member.left", a, { userId: a, removed: false }]])
        assert.strictEqual(yield* outcome(get(a, id)), "NotFound")
      })
    )

    it.effect("with adding, removing and sending at once, nobody sends after the removal", () =>
      Effect.gen(function* () {
        const { b, id, owner } = yield* staffed
        for (const _ of Arr.range(1, 5)) {
          yield* Effect.all([remove(owner, id, b), outcome(say(b, id)), outcome(say(b, id)), add(owner, id, b)], all)
          yield* add(owner, id, b)
        }
        let member = true
        for (const { actorId, data, event } of yield* wholeLog(id)) {
          if (event === "member.left" && "userId" in data && data.userId === b) member = false
          if (event === "member.joined") member = true
          if (event === "message.created" && actorId === b) assert.isTrue(member)
        }
      })
    )

    it.effect("leaveAll leaves every group and no DM", () =>
      Effect.gen(function* () {
        const { a, b, id: dm } = yield* twoOfUs
        const groups = [yield* groupOf(a, b), yield* groupOf(b, a), yield* groupOf(a)]
        yield* Members.use((members) => members.leaveAll(a))
        for (const id of groups) assert.strictEqual(yield* outcome(get(a, id)), "NotFound")
        assert.strictEqual((yield* me(b, groups[0] ?? nowhere)).role, "owner")
        assert.strictEqual(yield* outcome(get(a, dm)), "ok")
      })
    )
  })

  withLayer(layer)("Members: roles", (it) => {
    it.effect("decide who may do what", () =>
      Effect.gen(function* () {
        const { admin, b, c, id, owner } = yield* staffed
        const [x, stranger] = [yield* person, yield* person]
        const may = (userId: UserId) =>
          Effect.all([
            outcome(add(userId, id, x)),
            outcome(update(userId, id, { title: "Group" })),
            outcome(update(userId, id, { historyForNewMembers: "from-join" })),
            outcome(promote(userId, id, c, "member")),
            outcome(remove(userId, id, owner)),
            outcome(remove(userId, id, admin)),
            outcome(remove(userId, id, x))
          ])
        const [no, none] = ["Forbidden", "NotFound"]
        assert.deepStrictEqual(yield* may(b), [no, no, no, no, no, no, no])
        assert.deepStrictEqual(yield* may(stranger), [none, none, none, none, none, none, none])
        yield* promote(owner, id, c, "admin")
        assert.deepStrictEqual((yield* may(c)).slice(0, 6), ["ok", "ok", no, no, no, no])
        yield* promote(owner, id, c, "member")
        assert.deepStrictEqual(yield* may(admin), ["ok", "ok", no, no, no, "ok", none])
        // An admin who removes himself has left.
        assert.strictEqual(yield* outcome(get(admin, id)), none)
        assert.deepStrictEqual((yield* may(owner)).slice(0, 4), ["ok", "ok", "ok", "ok"])
      })
    )

    it.effect("are changed by owners, and the last owner stays one", () =>
      Effect.gen(function* () {
        const { b, id, owner } = yield* staffed
        const before = yield* wholeLog(id)
        assert.strictEqual(yield* outcome(promote(owner, id, owner, "admin")), "last-owner")
        assert.strictEqual(yield* outcome(promote(owner, id, owner, "owner")), "ok")
        assert.strictEqual(yield* outcome(promote(owner, id, yield* person, "admin")), "NotFound")
        assert.deepStrictEqual(yield* wholeLog(id), before)
        const member = yield* promote(owner, id, b, "owner")
        assert.deepStrictEqual([member.user.id, member.role], [b, "owner"])
        assert.strictEqual((yield* promote(owner, id, owner, "member")).role, "member")
        assert.deepStrictEqual(logged(yield* wholeLog(id)).slice(-2), [
          ["member.role-changed", owner, { userId: b, role: "owner" }],
          ["member.role-changed", owner, { userId: owner, role: "member" }]
        ])
        assert.strictEqual((yield* me(b, id)).role, "owner")
      })
    )

    it.effect("when two owners step down at once, one of them stays an owner", () =>
      Effect.gen(function* () {
        const { b, id, owner } = yield* staffed
        yield* promote(owner, id, b, "owner")
        const outcomes = yield* Effect.all(
          [outcome(promote(owner, id, owner, "member")), outcome(promote(b, id, b, "member"))],
          all
        )
        assert.deepStrictEqual(outcomes.toSorted(), ["last-owner", "ok"])
      })
    )

    it.effect("do not exist in a DM", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const refusals = yield* Effect.all([
          outcome(add(a, id, yield* person)),
          outcome(remove(a, id, b)),
          outcome(leave(a, id)),
          outcome(promote(a, id, b, "owner")),
          outcome(update(a, id, { title: "x" }))
        ])
        assert.deepStrictEqual(refusals, Arr.replicate("not-a-group", 5))
        assert.lengthOf(yield* wholeLog(id), 1)
      })
    )

    it.effect(
      "the changes of a group per minute are limited; refused ones and those that alter nothing do not count",
      () =>
        Effect.gen(function* () {
          const { memberChangesPerMinute } = (yield* Settings).limits
          const { b, id, owner } = yield* staffed
          const others = yield* people(2)
          assert.strictEqual(memberChangesPerMinute, 200)
          for (const _ of Arr.range(1, 3)) {
            yield* add(owner, id, b)
            yield* outcome(add(b, id, ...others))
            yield* outcome(add(owner, id, ...others, nobody))
          }
          const flood = Arr.replicate(promote(owner, id, b, "member"), 250)
          assert.deepStrictEqual(new Set(yield* Effect.forEach(flood, outcome)), new Set(["ok"]))
          const turns = Arr.makeBy(250, (n) => promote(owner, id, b, n % 2 === 0 ? "admin" : "member"))
          const outcomes = yield* Effect.forEach(turns, outcome)
          assert.strictEqual(outcomes.filter((each) => each === "ok").length, 199)
          assert.include(outcomes, "RateLimited")
          yield* leave(b, id)
        })
    )
  })

  withLayer(layer)("ConversationChanges", (it) => {
    it.effect("of a group make one event with all changed fields, and none when nothing changes", () =>
      Effect.gen(function* () {
        const { admin, b, id } = yield* staffed
        const avatarUrl = "https://example.com/a.png"
        const changed = yield* update(admin, id, { title: "Grüße 👋", avatarUrl })
        assert.deepInclude(changed, { title: "Grüße 👋", avatarUrl, seq: 3 })
        assert.deepInclude(yield* get(b, id), { title: "Grüße 👋", avatarUrl })
        yield* update(admin, id, { title: "Grüße 👋", avatarUrl })
        yield* update(admin, id, {})
        yield* update(admin, id, { title: "Grüße 👋", avatarUrl: null })
        assert.deepStrictEqual(logged(yield* wholeLog(id)).slice(1), [
          ["conversation.updated", admin, { title: "Grüße 👋", avatarUrl }],
          ["conversation.updated", admin, { avatarUrl: null }]
        ])
        assert.strictEqual(yield* refused(update(admin, id, { title: "x".repeat(201) })), "title")
        assert.strictEqual(yield* outcome(update(admin, id, { messageLifetimeSeconds: 3600 })), "Forbidden")
        assert.strictEqual(yield* outcome(update(admin, nowhere, { title: "x" })), "NotFound")
      })
    )

    it.effect("of a member's own settings reach only that member's devices, and count once", () =>
      Effect.gen(function* () {
        const { a, b, id } = yield* twoOfUs
        const heard = yield* listen(userSubject(a))
        const before = yield* userSeq(a)
        const mutedUntil = "2030-01-31T12:00:00.000Z"
        const mine = yield* settings(a, id, { mutedUntil: "2030-01-31T13:00+01:00", pinned: true, notify: "mentions" })
        assert.deepInclude(mine, { mutedUntil, archived: false, pinned: true, notify: "mentions" })
        assert.deepStrictEqual(yield* me(a, id), mine)
        assert.deepInclude(yield* me(b, id), { mutedUntil: null, pinned: false, notify: "all" })
        yield* until(Effect.sync(() => heard.length === 1))
        assert.deepStrictEqual(JSON.parse(heard[0]?.json ?? ""), {
          event: "conversation.settings",
          conversationId: id,
          data: { me: mine }
        })
        yield* settings(a, id, { mutedUntil, pinned: true })
        yield* settings(a, id, {})
        assert.strictEqual(yield* userSeq(a), before + 1)
        assert.lengthOf(heard, 1)
        assert.deepInclude(yield* settings(a, id, { mutedUntil: null, archived: true }), {
          mutedUntil: null,
          archived: true,
          pinned: true
        })
        assert.lengthOf(yield* wholeLog(id), 1)
        assert.strictEqual(yield* outcome(settings(yield* person, id, { pinned: true })), "NotFound")
      })
    )
  })
}
