import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Effect, type Layer } from "effect"
import { type ConversationId, InviteCode, type UserId } from "../../../src/domain/Ids.ts"
import type { NewInvite } from "../../../src/domain/Invite.ts"
import { userSubject } from "../../../src/services/bus/Subjects.ts"
import { Blocks } from "../../../src/services/conversations/Blocks.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { Invites } from "../../../src/services/conversations/Invites.ts"
import { Members } from "../../../src/services/conversations/Members.ts"
import { Users } from "../../../src/services/identity/Users.ts"
import { someone } from "../../support/Accounts.ts"
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

const all = { concurrency: "unbounded" } as const
const unknown = InviteCode.make("unknown")

const invite = (userId: UserId, id: ConversationId, options: NewInvite = {}, key?: string) =>
  Invites.use((invites) => invites.create(userId, id, options, key))
const codeOf = (userId: UserId, id: ConversationId, options: NewInvite = {}) =>
  Effect.map(invite(userId, id, options), ({ code }) => code)
const accept = (userId: UserId, code: InviteCode) => Invites.use((invites) => invites.accept(userId, code))
const revoke = (userId: UserId, id: ConversationId, code: InviteCode) =>
  Invites.use((invites) => invites.revoke(userId, id, code))
const list = (userId: UserId, id: ConversationId, limit = 50, cursor?: string) =>
  Invites.use((invites) => invites.list(userId, id, { limit, cursor }))

/** The behaviour that every implementation of Invites must have. */
export const invitesContract = <E>(layer: Layer.Layer<Chat, E>) => {
  withLayer(layer)("Invites", (it) => {
    it.effect("make the user who accepts a member, with one event and one use", () =>
      Effect.gen(function* () {
        const [a, b] = [yield* person, yield* person]
        const id = yield* groupOf(a)
        const made = yield* invite(a, id, { expiresInSeconds: 3600, maxUses: 5 })
        assert.deepInclude(made, { conversationId: id, createdBy: a, maxUses: 5, uses: 0 })
        assert.strictEqual(Date.parse(made.expiresAt ?? "") - Date.parse(made.createdAt), 3_600_000)
        assert.lengthOf(yield* wholeLog(id), 1)
        const signals = yield* listen(userSubject(b))
        const { conversation, joined } = yield* accept(b, made.code)
        assert.isTrue(joined)
        assert.deepInclude(conversation, { id, memberCount: 2 })
        assert.deepInclude(conversation.me, { role: "member", joinedSeq: 2, visibleFromSeq: 2 })
        const event = (yield* wholeLog(id)).at(-1)
        assert.deepInclude(event, { event: "member.joined", actorId: b })
        yield* until(Effect.sync(() => signals.length === 1))
        const again = yield* accept(b, made.code)
        assert.deepStrictEqual(again, { conversation, joined: false })
        assert.deepStrictEqual((yield* list(a, id)).items, [{ ...made, uses: 1 }])
        assert.lengthOf(yield* wholeLog(id), 2)
      })
    )

    it.effect("make a new user a member, or no user at all", () =>
      Effect.gen(function* () {
        const users = yield* Users
        const invites = yield* Invites
        const [a, b] = [yield* person, yield* person]
        const id = yield* groupOf(a)
        const code = yield* codeOf(a, id, { maxUses: 1 })
        const register = (one: ReturnType<typeof someone>, code: InviteCode) =>
          users.register(one, (user) => invites.register(user, code))
        const newcomers = Arr.makeBy(3, () => someone())
        const results = yield* Effect.forEach(newcomers, (one) => outcome(register(one, code)), all)
        assert.deepStrictEqual(results.toSorted(), ["NotFound", "NotFound", "ok"])
        const events = yield* wholeLog(id)
        assert.deepStrictEqual(
          events.map(({ event }) => event),
          ["conversation.created", "member.joined"]
        )
        const winner = newcomers[results.indexOf("ok")]
        const { items } = yield* users.search({ query: winner?.username ?? "", viewerId: a, limit: 5 })
        assert.deepStrictEqual(
          items.map(({ id }) => id),
          [events[1]?.actorId]
        )
        // What the others wanted is free.
        const other = newcomers[results.indexOf("NotFound")] ?? assert.fail("all were registered")
        assert.strictEqual(yield* outcome(users.register(other)), "ok")
        const more = yield* codeOf(a, id)
        assert.strictEqual(yield* outcome(register({ ...someone(), email: other.email }, more)), "email-taken")
        assert.strictEqual(yield* outcome(register({ ...someone(), username: other.username }, more)), "username-taken")
        assert.strictEqual(yield* outcome(register(someone(), unknown)), "NotFound")
        assert.deepStrictEqual(
          (yield* list(a, id)).items.map(({ uses }) => uses),
          [0]
        )
        assert.isTrue((yield* accept(b, more)).joined)
      })
    )

    it.effect("are used no more often than allowed, however many users try at once", () =>
      Effect.gen(function* () {
        const a = yield* person
        const id = yield* groupOf(a)
        const code = yield* codeOf(a, id, { maxUses: 3 })
        const crowd = yield* people(10)
        const outcomes = yield* Effect.forEach(crowd, (userId) => outcome(accept(userId, code)), all)
        assert.strictEqual(outcomes.filter((each) => each === "ok").length, 3)
        assert.strictEqual(outcomes.filter((each) => each === "NotFound").length, 7)
        assert.lengthOf(yield* wholeLog(id), 4)
        assert.deepStrictEqual((yield* list(a, id)).items, [])
        // The user who took the last use may accept again.
        const [member] = crowd.filter((_, at) => outcomes[at] === "ok")
        assert.isFalse((yield* accept(member ?? a, code)).joined)
        const one = yield* codeOf(a, id, { maxUses: 1 })
        const both = yield* person
        yield* Effect.replicateEffect(accept(both, one), 5, all)
        assert.lengthOf(yield* wholeLog(id), 5)
      })
    )

    it.effect("get the same answer whether unknown, expired or revoked", () =>
      Effect.gen(function* () {
        const [a, b] = [yield* person, yield* person]
        const id = yield* groupOf(a)
        const revoked = yield* codeOf(a, id)
        yield* revoke(a, id, revoked)
        yield* revoke(a, id, revoked)
        const expired = yield* codeOf(a, id, { expiresInSeconds: 3600 })
        yield* Backstage.use(({ aDayPasses }) => aDayPasses)
        const none = yield* problem(accept(b, unknown))
        assert.deepInclude(none, { status: 404 })
        assert.deepStrictEqual(yield* problem(accept(b, revoked)), none)
        assert.deepStrictEqual(yield* problem(accept(b, expired)), none)
        assert.deepStrictEqual((yield* list(a, id)).items, [])
        assert.strictEqual(yield* outcome(revoke(a, id, unknown)), "NotFound")
        const other = yield* groupOf(a)
        assert.strictEqual(yield* outcome(revoke(a, other, revoked)), "NotFound")
      })
    )

    it.effect("let a user who has left join again, and not one whom another member has removed", () =>
      Effect.gen(function* () {
        const members = yield* Members
        const [a, b, c] = [yield* person, yield* person, yield* person]
        const id = yield* groupOf(a, b, c)
        const before = yield* codeOf(a, id)
        yield* members.leave(b, id)
        yield* members.remove(a, id, c)
        assert.isTrue((yield* accept(b, before)).joined)
        assert.strictEqual(yield* outcome(accept(c, before)), "NotFound")
        assert.strictEqual(yield* outcome(accept(c, yield* codeOf(a, id))), "NotFound")
        yield* members.add(a, id, [c])
        yield* members.leave(c, id)
        assert.isTrue((yield* accept(c, before)).joined)
      })
    )

    it.effect("end with the group", () =>
      Effect.gen(function* () {
        const [a, b] = [yield* person, yield* person]
        const id = yield* groupOf(a)
        const code = yield* codeOf(a, id)
        yield* Members.use((members) => members.leave(a, id))
        for (const userId of [a, b]) assert.strictEqual(yield* outcome(accept(userId, code)), "NotFound")
      })
    )

    it.effect("are for owners and admins of groups", () =>
      Effect.gen(function* () {
        const members = yield* Members
        const [a, admin, b] = [yield* person, yield* person, yield* person]
        const id = yield* groupOf(a, admin, b)
        yield* members.update(a, id, admin, "admin")
        const code = yield* codeOf(a, id)
        const may = (userId: UserId, where: ConversationId) =>
          Effect.all([
            outcome(invite(userId, where)),
            outcome(list(userId, where)),
            outcome(revoke(userId, where, code))
          ])
        assert.deepStrictEqual(yield* may(b, id), Arr.replicate("Forbidden", 3))
        assert.deepStrictEqual(yield* may(yield* person, id), Arr.replicate("NotFound", 3))
        assert.deepStrictEqual(yield* may(a, nowhere), Arr.replicate("NotFound", 3))
        assert.deepStrictEqual(yield* may(admin, id), Arr.replicate("ok", 3))
        const dm = yield* twoOfUs
        assert.deepStrictEqual(yield* may(dm.a, dm.id), Arr.replicate("not-a-group", 3))
      })
    )

    it.effect("are made once for an Idempotency-Key within a day", () =>
      Effect.gen(function* () {
        const [a, b] = [yield* person, yield* person]
        const id = yield* groupOf(a)
        const made = yield* Effect.replicateEffect(invite(a, id, { maxUses: 2 }, "key"), 5, all)
        assert.strictEqual(new Set(made.map(({ code }) => code)).size, 1)
        yield* accept(b, made[0]?.code ?? unknown)
        assert.strictEqual((yield* invite(a, id, { maxUses: 2 }, "key")).uses, 1)
        assert.strictEqual(yield* outcome(invite(a, id, {}, "key")), "idempotency-key-reused")
        assert.strictEqual(
          yield* outcome(invite(a, yield* groupOf(a), { maxUses: 2 }, "key")),
          "idempotency-key-reused"
        )
        yield* invite(a, id, {}, "other")
        assert.lengthOf((yield* list(a, id)).items, 2)
        yield* Backstage.use(({ aDayPasses }) => aDayPasses)
        assert.notStrictEqual((yield* invite(a, id, {}, "key")).code, made[0]?.code)
      })
    )

    it.effect("are listed page by page, the latest first", () =>
      Effect.gen(function* () {
        const a = yield* person
        const id = yield* groupOf(a)
        const codes = yield* Effect.replicateEffect(codeOf(a, id), 5)
        const first = yield* list(a, id, 3)
        const rest = yield* list(a, id, 3, first.nextCursor)
        assert.isUndefined(rest.nextCursor)
        assert.deepStrictEqual(
          [...first.items, ...rest.items].map(({ code }) => code),
          codes.toReversed()
        )
        assert.strictEqual(yield* refused(list(a, id, 0)), "limit")
        assert.strictEqual(yield* refused(list(a, id, 1, "x")), "cursor")
      })
    )

    it.effect("may be accepted by a user who has blocked their creator", () =>
      Effect.gen(function* () {
        const [a, b] = [yield* person, yield* person]
        const id = yield* groupOf(a)
        yield* Blocks.use((blocks) => blocks.add(b, a))
        assert.isTrue((yield* accept(b, yield* codeOf(a, id))).joined)
        const mine = yield* Conversations.use((conversations) => conversations.list(b, { limit: 10 }))
        assert.lengthOf(mine.items, 1)
      })
    )
  })
}
