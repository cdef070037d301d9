import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Effect, type Layer } from "effect"
import { TestClock } from "effect/testing"
import { type ConversationId, UserId } from "../../../src/domain/Ids.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { Invites } from "../../../src/services/conversations/Invites.ts"
import { Members } from "../../../src/services/conversations/Members.ts"
import { Users } from "../../../src/services/identity/Users.ts"
import { Settings } from "../../../src/services/platform/Settings.ts"
import { type Chat, dmOf, groupOf, outcome, people, person, post } from "../../support/Chat.ts"

const nobody = UserId.make("00000000-0000-7000-8000-000000000000")

const keyed = (userId: UserId, key: string) =>
  Conversations.use((conversations) =>
    conversations.create(userId, { kind: "group", title: "Group", memberIds: [] }, key)
  )
const add = (userId: UserId, id: ConversationId, ...userIds: ReadonlyArray<UserId>) =>
  Members.use((members) => members.add(userId, id, userIds))
const leave = (userId: UserId, id: ConversationId) => Members.use((members) => members.leave(userId, id))
const joinByInvite = (owner: UserId, id: ConversationId, userId: UserId) =>
  Invites.use((invites) => Effect.flatMap(invites.create(owner, id, {}), ({ code }) => invites.accept(userId, code)))

/** A user who has met all strangers of a day but `left`, and the group in which they are. */
const sociable = Effect.fnUntraced(function* (left: number) {
  const { firstContactsPerDay } = (yield* Settings).limits
  const a = yield* person
  const [first, second] = Arr.splitAt(yield* people(firstContactsPerDay - left), 100)
  const id = yield* groupOf(a, ...first)
  yield* add(a, id, ...second)
  return { a, id, met: first[0] ?? a }
})

/** The contract of the limits on new conversations, for every Layer. */
export const firstContactsContract = <E>(layer: Layer.Layer<Chat, E>) => {
  withLayer(layer)("Starting conversations", (it) => {
    it.effect("is limited per minute; an existing conversation, a repetition and a refusal cost nothing", () =>
      Effect.gen(function* () {
        const { conversationsPerMinute } = (yield* Settings).limits
        assert.strictEqual(conversationsPerMinute, 60)
        const [a, b, c] = [yield* person, yield* person, yield* person]
        yield* dmOf(a, b)
        yield* keyed(a, "key")
        for (const _ of Arr.range(1, 100)) {
          yield* dmOf(a, b)
          yield* keyed(a, "key")
          assert.strictEqual(yield* outcome(groupOf(a, nobody)), "NotFound")
        }
        for (const _ of Arr.range(1, 58)) yield* groupOf(a)
        assert.strictEqual(yield* outcome(groupOf(a)), "RateLimited")
        assert.strictEqual(yield* outcome(dmOf(a, c)), "RateLimited")
        assert.strictEqual(yield* outcome(keyed(a, "another key")), "RateLimited")
        yield* dmOf(a, b)
        yield* keyed(a, "key")
        yield* groupOf(b)
        yield* TestClock.adjust("1 minute")
        yield* dmOf(a, c)
      })
    )

    it.effect("with strangers is limited per day, by DMs, new groups and new members together", () =>
      Effect.gen(function* () {
        const { firstContactsPerDay } = (yield* Settings).limits
        assert.strictEqual(firstContactsPerDay, 200)
        const { a, id } = yield* sociable(2)
        const [b, c, d] = [yield* person, yield* person, yield* person]
        const tooMany = [yield* outcome(groupOf(a, b, c, d)), yield* outcome(add(a, id, b, c, d))]
        assert.deepStrictEqual(tooMany, Arr.replicate("RateLimited", 2))
        assert.strictEqual(yield* outcome(add(a, id, b, nobody)), "NotFound")
        assert.strictEqual(yield* outcome(groupOf(a, b, nobody)), "NotFound")
        assert.strictEqual(yield* outcome(dmOf(a, nobody)), "NotFound")
        yield* add(a, id, b)
        yield* dmOf(a, c)
        const others = [yield* outcome(dmOf(a, d)), yield* outcome(groupOf(a, d)), yield* outcome(add(a, id, d))]
        assert.deepStrictEqual(others, Arr.replicate("RateLimited", 3))
        const retryAfterMs = yield* Effect.match(dmOf(a, d), {
          onFailure: (error) => (error._tag === "RateLimited" ? error.retryAfterMs : 0),
          onSuccess: () => 0
        })
        assert.closeTo(retryAfterMs, 24 * 3_600_000, 3_600_000)
      })
    )

    it.effect("with users who share a conversation is not limited per day", () =>
      Effect.gen(function* () {
        const { a, id, met } = yield* sociable(0)
        const [b, c, d] = [yield* person, yield* person, yield* person]
        yield* dmOf(a, a)
        yield* groupOf(a)
        yield* groupOf(a, a, met)
        yield* dmOf(a, met)
        yield* leave(met, id)
        yield* add(a, id, met)
        // Users who were brought together by others, or who joined by an invite, are not first contacts of the user.
        yield* dmOf(b, a)
        yield* groupOf(a, b)
        yield* joinByInvite(a, id, c)
        yield* dmOf(a, c)
        yield* joinByInvite(d, yield* groupOf(d), a)
        yield* dmOf(a, d)
        assert.strictEqual(yield* outcome(dmOf(a, yield* person)), "RateLimited")
      })
    )

    it.effect("with somebody who has left the last shared conversation counts as a first contact", () =>
      Effect.gen(function* () {
        const { a, id, met } = yield* sociable(1)
        yield* leave(met, id)
        yield* add(a, id, met)
        yield* leave(met, id)
        assert.strictEqual(yield* outcome(add(a, id, met)), "RateLimited")
        const host = yield* person
        const theirs = yield* groupOf(host)
        yield* joinByInvite(host, theirs, a)
        yield* leave(a, theirs)
        assert.strictEqual(yield* outcome(add(a, id, host)), "RateLimited")
      })
    )
  })

  withLayer(layer)("A user who is added only by contacts", (it) => {
    it.effect("cannot be added or written to by strangers, who learn why", () =>
      Effect.gen(function* () {
        const users = yield* Users
        const [me, stranger, friend] = [yield* person, yield* person, yield* person]
        const mine = yield* groupOf(me, friend)
        yield* post(mine, me)
        assert.strictEqual((yield* users.me(me)).whoMayAddMe, "everybody")
        assert.strictEqual((yield* users.update(me, { whoMayAddMe: "contacts" })).whoMayAddMe, "contacts")
        const ways = (who: UserId) =>
          Effect.gen(function* () {
            const own = yield* groupOf(who)
            return [yield* outcome(dmOf(who, me)), yield* outcome(groupOf(who, me)), yield* outcome(add(who, own, me))]
          })
        assert.deepStrictEqual(yield* ways(stranger), Arr.replicate("contacts-only", 3))
        assert.deepStrictEqual(yield* ways(friend), Arr.replicate("contacts-only", 3), "only one of both has written")
        const loud = yield* person
        yield* post(yield* groupOf(me, loud), loud)
        assert.deepStrictEqual(yield* ways(loud), Arr.replicate("contacts-only", 3), "the user has not answered")
        yield* post(mine, friend)
        assert.deepStrictEqual(yield* ways(friend), ["ok", "ok", "ok"])
        yield* users.update(me, { displayName: "Me" })
        assert.deepStrictEqual(yield* ways(stranger), Arr.replicate("contacts-only", 3))
        const third = yield* groupOf(stranger)
        assert.strictEqual(yield* outcome(joinByInvite(stranger, third, me)), "ok", "it is the user's own doing")
        assert.strictEqual(yield* outcome(dmOf(me, me)), "ok")
        yield* users.update(me, { whoMayAddMe: "everybody" })
        assert.deepStrictEqual(yield* ways(yield* person), ["ok", "ok", "ok"])
      })
    )

    it.effect("is written to in the DM that the user has opened, and a reply in a thread makes a contact too", () =>
      Effect.gen(function* () {
        const users = yield* Users
        const [me, a, b] = [yield* person, yield* person, yield* person]
        yield* users.update(me, { whoMayAddMe: "contacts" })
        yield* dmOf(me, a)
        assert.strictEqual(yield* outcome(dmOf(a, me)), "ok")
        const shared = yield* groupOf(me, b)
        const root = yield* post(shared, me)
        yield* post(shared, b, { threadRoot: root.id })
        assert.strictEqual(yield* outcome(groupOf(b, me)), "ok")
        yield* leave(me, shared)
        const alone = yield* groupOf(b)
        assert.strictEqual(yield* outcome(add(b, alone, me)), "contacts-only", "both have written in none that is left")
        const later = yield* groupOf(me, b)
        yield* post(later, me)
        yield* post(later, b)
        yield* leave(b, later)
        assert.strictEqual(yield* outcome(add(b, alone, me)), "contacts-only", "the other one has left")
      })
    )
  })

  withLayer(layer)("Adding somebody", (it) => {
    it.effect("is limited by the hour for all who are no contacts together", () =>
      Effect.gen(function* () {
        const { additionsPerHour } = (yield* Settings).limits
        assert.strictEqual(additionsPerHour, 100)
        const [victim, other, contact, a, b] = yield* Effect.all([person, person, person, person, person])
        const shared = yield* groupOf(contact, victim)
        yield* post(shared, contact)
        yield* post(shared, victim)
        const first = yield* person
        for (const _ of Arr.range(1, 50)) yield* groupOf(first, victim)
        assert.strictEqual(yield* outcome(groupOf(first, victim)), "RateLimited", "half is the most for one adder")
        for (const _ of Arr.range(1, 48)) yield* groupOf(a, victim)
        yield* TestClock.adjust("1 minute")
        const own = yield* groupOf(a)
        yield* add(a, own, victim)
        const refusal = yield* Effect.flip(groupOf(b, victim))
        assert.strictEqual(refusal._tag, "RateLimited")
        assert.match(refusal.detail ?? "", /^One of these users has been added .* share an invite instead/)
        assert.strictEqual(yield* outcome(add(b, yield* groupOf(b), victim, other)), "RateLimited")
        assert.strictEqual(yield* outcome(groupOf(b, other)), "ok")
        assert.strictEqual(yield* outcome(dmOf(b, victim)), "ok", "a DM shows with its first message only")
        assert.strictEqual(yield* outcome(groupOf(contact, victim)), "ok")
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(yield* outcome(groupOf(b, victim)), "ok")
      })
    )
  })
}
