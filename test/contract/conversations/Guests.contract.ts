import { assert, layer as withLayer } from "@effect/vitest"
import { Clock, Effect, type Layer } from "effect"
import { type ConversationId, InviteCode, type UserId } from "../../../src/domain/Ids.ts"
import type { NewInvite } from "../../../src/domain/Invite.ts"
import { ConversationAdmin } from "../../../src/services/admin/ConversationAdmin.ts"
import { RegistrationAdmin } from "../../../src/services/admin/RegistrationAdmin.ts"
import { AccountClosing } from "../../../src/services/conversations/AccountClosing.ts"
import { Blocks } from "../../../src/services/conversations/Blocks.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { Guests } from "../../../src/services/conversations/Guests.ts"
import { Invites } from "../../../src/services/conversations/Invites.ts"
import { Members } from "../../../src/services/conversations/Members.ts"
import { Attachments } from "../../../src/services/files/Attachments.ts"
import { Sessions } from "../../../src/services/identity/Sessions.ts"
import { Users } from "../../../src/services/identity/Users.ts"
import { someone } from "../../support/Accounts.ts"
import { entryOf, groupOf, outcome, people, person, store, wholeLog } from "../../support/Chat.ts"
import type { Operators } from "../../support/Operators.ts"
import { Time } from "../../support/Time.ts"

const actor = "cli:ann"
const forGuests = { guests: true }

const inviteTo = (userId: UserId, id: ConversationId, options: NewInvite = forGuests) =>
  Invites.use((invites) => Effect.map(invites.create(userId, id, options), ({ code }) => code))
const accept = (userId: UserId, code: InviteCode) => Invites.use((invites) => invites.accept(userId, code))
const join = (code: InviteCode, ip = someone().ip) =>
  Guests.use((guests) => guests.join(code, { displayName: "Gus", userAgent: "test", ip }))
const endDue = Guests.use(({ endDue }) => Effect.repeat(endDue, { while: (more) => more }))

/** A group with its owner, and a guest who has joined it. */
const guestIn = Effect.fnUntraced(function* (options: NewInvite = forGuests, ...others: ReadonlyArray<UserId>) {
  const owner = yield* person
  const id = yield* groupOf(owner, ...others)
  const code = yield* inviteTo(owner, id, options)
  const tokens = yield* join(code)
  const principal = yield* Sessions.use((sessions) => sessions.authenticate(tokens.accessToken))
  return { owner, id, code, tokens, principal, guest: principal.userId }
})

const account = () => {
  const { email, password, username } = someone("claimed")
  return { email, password, username }
}

/** The name, the kind, and whether the session lives, of a guest. */
const stateOf = ({ guest, principal }: Pick<Effect.Success<ReturnType<typeof guestIn>>, "guest" | "principal">) =>
  Effect.all([
    Users.use((users) => Effect.map(users.get(guest), ({ displayName }) => displayName)),
    Sessions.use((sessions) => outcome(sessions.check(principal)))
  ])

/**
 * Runs an effect some days later. The test clock itself is not moved so far, because the loops of the services would run for
 * each second of it.
 */
const inDays = <A, E, R>(days: number, effect: Effect.Effect<A, E, R>) =>
  Effect.clockWith((clock) => {
    const millis = () => clock.currentTimeMillisUnsafe() + days * 24 * 3_600_000
    return Effect.provideService(effect, Clock.Clock, {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: () => BigInt(millis()) * 1_000_000n,
      currentTimeNanos: Effect.sync(() => BigInt(millis()) * 1_000_000n),
      monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: clock.monotonicTimeNanos,
      sleep: (duration) => clock.sleep(duration)
    })
  })

const lives = ["Gus", "ok"]
const expired = ["Gus", "session-ended"]

/** The behaviour that every implementation of Guests must have. */
export const guestsContract = <E>(layer: Layer.Layer<Operators, E>) => {
  withLayer(layer)("Guests", (it) => {
    it.effect("join a group by an invite that admits them, each time as another one", () =>
      Effect.gen(function* () {
        const { code, guest, id, owner, tokens } = yield* guestIn()
        assert.deepInclude(tokens.user, { id: guest, displayName: "Gus", email: "", kind: "guest" })
        const event = (yield* wholeLog(id)).at(-1)
        assert.deepInclude(event, { event: "member.joined", actorId: guest })
        assert.propertyVal(event?.event === "member.joined" ? event.data.user : {}, "kind", "guest")
        const { items } = yield* Members.use((members) => members.list(owner, id, { limit: 5 }))
        assert.deepStrictEqual(
          items.map(({ role, user }) => [role, user.kind]),
          [
            ["owner", "human"],
            ["member", "guest"]
          ]
        )
        const device = { userAgent: "test", ip: "10.0.0.1" }
        const { refreshToken } = tokens
        yield* Sessions.use((sessions) => sessions.refresh({ refreshToken, ...device }))
        assert.notStrictEqual((yield* join(code)).user.id, guest)
        const [open] = (yield* Invites.use((invites) => invites.list(owner, id, { limit: 5 }))).items
        assert.deepInclude(open, { code, uses: 2, guests: true })
      })
    )

    it.effect("cannot use an invite for accounts, nor one that is revoked or used up", () =>
      Effect.gen(function* () {
        const owner = yield* person
        const id = yield* groupOf(owner)
        const before = yield* wholeLog(id)
        const forAccounts = yield* inviteTo(owner, id, {})
        const revoked = yield* inviteTo(owner, id)
        yield* Invites.use((invites) => invites.revoke(owner, id, revoked))
        for (const code of [forAccounts, revoked, InviteCode.make("unknown")])
          assert.strictEqual(yield* outcome(join(code)), "NotFound")
        assert.deepStrictEqual(yield* wholeLog(id), before)
        const once = yield* inviteTo(owner, id, { ...forGuests, maxUses: 1 })
        const racers = yield* Effect.all([outcome(join(once)), outcome(join(once))], { concurrency: 2 })
        assert.sameMembers(racers, ["ok", "NotFound"])
      })
    )

    it.effect("are limited by their address and by the operator", () =>
      Effect.gen(function* () {
        const owner = yield* person
        const code = yield* inviteTo(owner, yield* groupOf(owner))
        const { ip } = someone()
        assert.strictEqual(yield* outcome(join(InviteCode.make("unknown"), ip)), "NotFound")
        for (let joined = 0; joined < 30; joined++) yield* join(code, ip)
        assert.strictEqual(yield* outcome(join(code, ip)), "RateLimited")
        assert.strictEqual(yield* outcome(join(code)), "ok")
        const registration = yield* RegistrationAdmin
        yield* registration.set(actor, "invite")
        assert.strictEqual(yield* outcome(join(code)), "ok")
        yield* registration.set(actor, "closed")
        assert.strictEqual(yield* outcome(join(code)), "guests-disabled")
        yield* registration.set(actor, null)
      })
    )

    it.effect("see what they were invited to, and can gain no more", () =>
      Effect.gen(function* () {
        const users = yield* Users
        const conversations = yield* Conversations
        const members = yield* Members
        const [former = assert.fail(), member = assert.fail(), stranger = assert.fail()] = yield* people(3)
        const { guest, id, owner } = yield* guestIn(forGuests, former, member)
        yield* members.leave(former, id)
        const elsewhere = yield* groupOf(stranger)
        for (const seen of [guest, owner, member, former]) assert.strictEqual((yield* users.look(guest, seen)).id, seen)
        assert.strictEqual(yield* outcome(users.look(guest, stranger)), "NotFound")
        const seen = yield* users.lookAt(guest, [stranger, former, guest, owner])
        assert.deepStrictEqual(
          seen.map(({ id }) => id),
          [former, guest, owner]
        )
        assert.strictEqual(yield* outcome(users.look(stranger, guest)), "ok")
        const search = (viewerId: UserId, query: string) => users.search({ viewerId, query, limit: 5 })
        assert.strictEqual(yield* outcome(search(guest, "user")), "guest")
        assert.deepStrictEqual((yield* search(owner, "gus")).items, [])
        assert.deepStrictEqual((yield* search(owner, "guest-")).items, [])
        for (const userId of [member, guest, stranger])
          assert.strictEqual(yield* outcome(conversations.create(guest, { kind: "dm", userId })), "guest")
        const group = { kind: "group", title: "Group", memberIds: [] } as const
        assert.strictEqual(yield* outcome(conversations.create(guest, group)), "guest")
        assert.strictEqual(yield* outcome(accept(guest, yield* inviteTo(stranger, elsewhere, {}))), "NotFound")
        assert.isTrue((yield* accept(guest, yield* inviteTo(stranger, elsewhere))).joined)
        assert.strictEqual((yield* users.look(guest, stranger)).id, stranger)
        // A conversation that others start has the guest in it.
        const dm = yield* conversations.create(member, { kind: "dm", userId: guest })
        assert.strictEqual((yield* conversations.create(guest, { kind: "dm", userId: member })).created, false)
        yield* store(entryOf(dm.conversation.id, guest))
      })
    )

    it.effect("are members alone, and no heirs", () =>
      Effect.gen(function* () {
        const members = yield* Members
        const { guest, id, owner } = yield* guestIn()
        for (const role of ["admin", "owner"] as const)
          assert.strictEqual(yield* outcome(members.update(owner, id, guest, role)), "guest")
        assert.strictEqual((yield* members.update(owner, id, guest, "member")).role, "member")
        const later = yield* person
        yield* members.add(owner, id, [later])
        yield* members.leave(owner, id)
        const roles = Effect.map(members.list(guest, id, { limit: 5 }), ({ items }) =>
          items.map(({ role, user }) => [user.id, role])
        )
        assert.deepStrictEqual(yield* roles, [
          [guest, "member"],
          [later, "owner"]
        ])
        yield* members.leave(later, id)
        assert.deepStrictEqual(yield* roles, [[guest, "member"]])
      })
    )

    it.effect("become accounts that keep everything", () =>
      Effect.gen(function* () {
        const guests = yield* Guests
        const sessions = yield* Sessions
        const { guest, id, owner, principal } = yield* guestIn({ ...forGuests, expiresInSeconds: 3600 })
        yield* store(entryOf(id, guest))
        const claim = account()
        const me = yield* guests.claim(principal, claim)
        assert.deepInclude(me, { id: guest, username: claim.username, email: claim.email, displayName: "Gus" })
        assert.propertyVal(me, "kind", "human")
        yield* sessions.check(principal)
        const login = { login: claim.email, password: claim.password, userAgent: "test", ip: "10.0.0.1" }
        assert.strictEqual((yield* sessions.login(login)).user.id, guest)
        yield* Time.use(({ pass }) => pass(61))
        yield* endDue
        assert.deepInclude(yield* Conversations.use((all) => all.get(guest, id)), { memberCount: 2, seq: 3 })
        yield* Conversations.use((all) => all.create(guest, { kind: "dm", userId: owner }))
        yield* Members.use((members) => members.update(owner, id, guest, "admin"))
        assert.strictEqual(yield* outcome(guests.claim(principal, account())), "not-a-guest")
        assert.strictEqual((yield* Users.use((users) => users.me(guest))).username, claim.username)
      })
    )

    it.effect("become one account, under a name that is free, where accounts can be made", () =>
      Effect.gen(function* () {
        const guests = yield* Guests
        const registration = yield* RegistrationAdmin
        const { guest, id, owner, principal } = yield* guestIn()
        const taken = someone()
        yield* Users.use((users) => users.register(taken))
        const claim = account()
        const refused = (change: object) => outcome(guests.claim(principal, { ...claim, ...change }))
        assert.strictEqual(yield* refused({ username: taken.username }), "username-taken")
        assert.strictEqual(yield* refused({ email: taken.email.toUpperCase() }), "email-taken")
        assert.strictEqual(yield* refused({ username: "all" }), "InvalidRequest")
        assert.strictEqual(yield* refused({ password: "short" }), "InvalidRequest")
        yield* registration.set(actor, "closed")
        assert.strictEqual(yield* refused({}), "registration-closed")
        yield* registration.set(actor, "invite")
        yield* Members.use((members) => members.remove(owner, id, guest))
        assert.strictEqual(yield* refused({}), "invite-required")
        yield* registration.set(actor, null)
        const claims = [claim, account(), account()].map((one) => outcome(guests.claim(principal, one)))
        assert.sameMembers(yield* Effect.all(claims, { concurrency: 3 }), ["ok", "not-a-guest", "not-a-guest"])
        yield* endDue
        yield* Sessions.use((sessions) => sessions.check(principal))
      })
    )

    it.effect("leave with the end of their invite, and keep their name", () =>
      Effect.gen(function* () {
        const brief = yield* guestIn({ ...forGuests, expiresInSeconds: 3600 })
        const both = yield* guestIn({ ...forGuests, expiresInSeconds: 3600 })
        const other = yield* person
        const lasting = yield* groupOf(other)
        yield* accept(both.guest, yield* inviteTo(other, lasting))
        const ofRevoked = yield* guestIn()
        yield* Invites.use((invites) => invites.revoke(ofRevoked.owner, ofRevoked.id, ofRevoked.code))
        yield* endDue
        for (const one of [brief, both, ofRevoked]) assert.deepStrictEqual(yield* stateOf(one), lives)
        yield* Time.use(({ pass }) => pass(61))
        yield* endDue
        assert.deepStrictEqual(yield* stateOf(brief), expired)
        const last = (yield* wholeLog(brief.id)).at(-1)
        assert.deepInclude(last, { event: "member.left", actorId: brief.guest })
        assert.deepInclude(last?.data, { removed: false })
        // Another invite without an end keeps the guest in its own group only.
        assert.deepStrictEqual(yield* stateOf(both), lives)
        assert.strictEqual(yield* outcome(Conversations.use((all) => all.get(both.guest, both.id))), "NotFound")
        assert.strictEqual(yield* outcome(Conversations.use((all) => all.get(both.guest, lasting))), "ok")
        assert.deepStrictEqual(yield* stateOf(ofRevoked), lives)
        const claim = Guests.use((guests) => guests.claim(brief.principal, account()))
        assert.strictEqual(yield* outcome(claim), "NotFound")
        yield* endDue
      })
    )

    it.effect("may delete themselves more than once, also at a time", () =>
      Effect.gen(function* () {
        const accounts = yield* AccountClosing
        const { principal } = yield* guestIn()
        yield* Effect.replicateEffect(accounts.delete(principal), 4, { concurrency: 4 })
        yield* accounts.delete(principal)
      })
    )

    it.effect("delete themselves without a password, which accounts need", () =>
      Effect.gen(function* () {
        const accounts = yield* AccountClosing
        const { guest, id, owner, principal } = yield* guestIn()
        yield* store(entryOf(id, guest))
        yield* accounts.delete(principal)
        assert.deepStrictEqual(yield* stateOf({ guest, principal }), ["Deleted user", "session-ended"])
        assert.strictEqual((yield* Conversations.use((all) => all.get(owner, id))).memberCount, 1)
        const claimed = yield* guestIn()
        yield* Guests.use((guests) => guests.claim(claimed.principal, account()))
        assert.strictEqual(yield* outcome(accounts.delete(claimed.principal)), "InvalidRequest")
        assert.strictEqual(yield* outcome(accounts.delete(claimed.principal, "wrong horse")), "Forbidden")
        yield* Sessions.use((sessions) => sessions.check(claimed.principal))
      })
    )

    it.effect("have less room for files", () =>
      Effect.gen(function* () {
        const { guest, owner, principal } = yield* guestIn()
        const limitOf = (userId: UserId) =>
          Attachments.use((attachments) => Effect.map(attachments.use(userId), ({ limit }) => limit))
        assert.strictEqual(yield* limitOf(owner), 1_073_741_824)
        assert.strictEqual(yield* limitOf(guest), 104_857_600)
        yield* Guests.use((guests) => guests.claim(principal, account()))
        assert.strictEqual(yield* limitOf(guest), 1_073_741_824)
      })
    )

    it.effect("are looked at, however many live", () =>
      Effect.gen(function* () {
        const full = yield* guestIn()
        for (let more = 0; more < 60; more++) yield* join(full.code)
        const signedOut = yield* guestIn()
        yield* Sessions.use((sessions) => sessions.logout(signedOut.principal))
        yield* Time.use(({ pass }) => pass(61))
        yield* endDue
        const countOf = ({ id, owner }: typeof full) =>
          Conversations.use((all) => Effect.map(all.get(owner, id), ({ memberCount }) => memberCount))
        assert.deepStrictEqual([yield* countOf(full), yield* countOf(signedOut)], [62, 1])
      })
    )

    it.effect("expire when nothing is left for them, or nobody comes", () =>
      Effect.gen(function* () {
        const removed = yield* guestIn()
        yield* Members.use((members) => members.remove(removed.owner, removed.id, removed.guest))
        yield* Conversations.use((all) => all.create(removed.owner, { kind: "dm", userId: removed.guest }))
        const left = yield* guestIn()
        yield* Members.use((members) => members.leave(left.guest, left.id))
        const blocked = yield* guestIn()
        yield* Blocks.use((blocks) => blocks.add(blocked.owner, blocked.guest))
        yield* endDue
        assert.deepStrictEqual(yield* stateOf(removed), expired)
        assert.deepStrictEqual(yield* stateOf(left), expired)
        assert.deepStrictEqual(yield* stateOf(blocked), lives)

        const deleted = yield* guestIn()
        yield* ConversationAdmin.use((conversations) => conversations.delete(actor, deleted.id))
        const signedOut = yield* guestIn()
        yield* Sessions.use((sessions) => sessions.logout(signedOut.principal))
        yield* Time.use(({ pass }) => pass(61))
        yield* endDue
        assert.deepStrictEqual(yield* stateOf(deleted), expired)
        const { memberCount } = yield* Conversations.use((all) => all.get(signedOut.owner, signedOut.id))
        assert.strictEqual(memberCount, 1)

        const device = { userAgent: "test", ip: "10.0.0.1" }
        const { tokens } = blocked
        const { refreshToken } = yield* inDays(
          20,
          Sessions.use((all) => all.refresh({ refreshToken: tokens.refreshToken, ...device }))
        )
        for (const [days, state] of [
          [40, lives],
          [51, expired]
        ] as const) {
          yield* Time.use(({ pass }) => pass(61))
          assert.deepStrictEqual(yield* inDays(days, Effect.andThen(endDue, stateOf(blocked))), state)
        }
        const late = Sessions.use((all) => all.refresh({ refreshToken, ...device }))
        assert.strictEqual(yield* outcome(late), "Unauthenticated")
      })
    )
  })
}
