import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { type SessionId, UserId } from "../../../src/domain/Ids.ts"
import { AccountAdmin } from "../../../src/services/admin/AccountAdmin.ts"
import { Audit } from "../../../src/services/admin/Audit.ts"
import { Sessions } from "../../../src/services/identity/Sessions.ts"
import { Users } from "../../../src/services/identity/Users.ts"
import { ScheduledMessages } from "../../../src/services/messages/ScheduledMessages.ts"
import { signedIn, someone } from "../../support/Accounts.ts"
import {
  cursorWith,
  dmOf,
  groupOf,
  outcome,
  people,
  post,
  refused,
  twoOfUs,
  until,
  wholeLog
} from "../../support/Chat.ts"
import type { Operators } from "../../support/Operators.ts"
import { Time } from "../../support/Time.ts"

const actor = "cli:ann"
const nobody = UserId.make("00000000-0000-7000-8000-000000000000")

/** The lines of the audit log about an account, the oldest act first. */
const actsOn = (userId: UserId) =>
  Audit.use((audit) =>
    Effect.map(audit.list({ limit: 100 }), ({ items }) =>
      items.filter(({ target }) => target.kind === "user" && target.id === userId).toReversed()
    )
  )

/** The behaviour that every implementation of AccountAdmin must have. */
export const accountAdminContract = <E>(layer: Layer.Layer<Operators, E>) => {
  withLayer(layer)("AccountAdmin", (it) => {
    it.effect("keeps a disabled user out, on every device, until the account is enabled", () =>
      Effect.gen(function* () {
        const accounts = yield* AccountAdmin
        const sessions = yield* Sessions
        const { device, login, me, person, principal, tokens } = yield* signedIn
        const other = yield* login("other")
        const heard: Array<readonly [ReadonlyArray<SessionId>, boolean]> = []
        yield* sessions.onEnded((ids, closed) => heard.push([ids.toSorted(), closed]))
        yield* accounts.disable(actor, me.id)
        yield* until(Effect.sync(() => heard.length > 0))
        assert.deepStrictEqual(heard, [[[principal.sessionId, other.sessionId].toSorted(), true]])
        for (const { accessToken, refreshToken } of [tokens, other]) {
          assert.strictEqual(yield* outcome(sessions.authenticate(accessToken)), "session-ended")
          assert.strictEqual(yield* outcome(sessions.refresh({ refreshToken, ...device })), "Unauthenticated")
        }
        assert.strictEqual(yield* outcome(login()), "account-disabled")
        const wrong = { ...device, login: person.username, password: "wrong horse" }
        assert.strictEqual(yield* outcome(sessions.login(wrong)), "Unauthenticated")
        assert.isString((yield* accounts.get(me.id)).disabledAt)
        assert.strictEqual((yield* Users.use((users) => users.get(me.id))).displayName, me.displayName)

        yield* accounts.disable(actor, me.id)
        yield* accounts.enable(actor, me.id)
        yield* accounts.enable("cli:bob", me.id)
        assert.strictEqual(yield* outcome(login()), "ok")
        assert.strictEqual(yield* outcome(sessions.authenticate(tokens.accessToken)), "session-ended")
        assert.isNull((yield* accounts.get(me.id)).disabledAt)
        assert.deepStrictEqual(
          (yield* actsOn(me.id)).map(({ act, actor, detail }) => [act, actor, detail]),
          [
            ["admin.disable", actor, { endedSessions: 2 }],
            ["admin.enable", actor, {}]
          ]
        )
      })
    )

    it.effect("refuses the scheduled messages of a disabled user, who may schedule them again afterwards", () =>
      Effect.gen(function* () {
        const accounts = yield* AccountAdmin
        const scheduled = yield* ScheduledMessages
        const { a, b, id: conversationId } = yield* twoOfUs
        const sendAt = new Date((yield* (yield* Time).now).getTime() + 3_600_000)
        const request = { conversationId, sendAt, body: "later" }
        const mine = yield* scheduled.create(a, request)
        const theirs = yield* scheduled.create(b, request)
        yield* accounts.disable(actor, a)
        const failed = yield* scheduled.get(a, mine.id)
        assert.deepInclude(failed, {
          status: "failed",
          failure: { type: "/problems/forbidden", detail: "Your account was disabled" }
        })
        assert.strictEqual((yield* scheduled.get(b, theirs.id)).status, "scheduled")
        yield* accounts.enable(actor, a)
        assert.strictEqual((yield* scheduled.get(a, mine.id)).status, "failed")
        assert.strictEqual((yield* scheduled.update(a, mine.id, { body: "again" })).status, "scheduled")
      })
    )

    it.effect("ends all sessions of a user, who may log in again", () =>
      Effect.gen(function* () {
        const accounts = yield* AccountAdmin
        const sessions = yield* Sessions
        const { login, me, principal, tokens } = yield* signedIn
        const heard: Array<readonly [ReadonlyArray<SessionId>, boolean]> = []
        yield* sessions.onEnded((ids, closed) => heard.push([ids, closed]))
        yield* accounts.endSessions(actor, me.id)
        yield* until(Effect.sync(() => heard.length > 0))
        assert.deepStrictEqual(heard, [[[principal.sessionId], false]])
        assert.strictEqual(yield* outcome(sessions.authenticate(tokens.accessToken)), "session-ended")
        yield* accounts.endSessions(actor, me.id)
        assert.strictEqual(yield* outcome(login()), "ok")
        assert.deepStrictEqual(
          (yield* actsOn(me.id)).map(({ act, detail }) => [act, detail]),
          [["admin.endSessions", { endedSessions: 1 }]]
        )
      })
    )

    it.effect("deletes an account as its user could", () =>
      Effect.gen(function* () {
        const accounts = yield* AccountAdmin
        const sessions = yield* Sessions
        const { login, me, principal, tokens } = yield* signedIn
        const [other = assert.fail()] = yield* people(1)
        const id = yield* groupOf(me.id, other)
        yield* post(id, me.id)
        const scheduled = yield* ScheduledMessages
        const sendAt = new Date((yield* (yield* Time).now).getTime() + 3_600_000)
        const conversationId = yield* dmOf(me.id, other)
        const later = yield* scheduled.create(me.id, { conversationId, sendAt, body: "later" })
        const heard: Array<readonly [ReadonlyArray<SessionId>, boolean]> = []
        yield* sessions.onEnded((ids, closed) => heard.push([ids, closed]))
        yield* accounts.delete(actor, me.id)
        yield* until(Effect.sync(() => heard.length > 0))
        assert.deepStrictEqual(heard, [[[principal.sessionId], true]])
        assert.strictEqual(yield* outcome(sessions.authenticate(tokens.accessToken)), "session-ended")
        assert.strictEqual(yield* outcome(login()), "Unauthenticated")
        assert.strictEqual((yield* Users.use((users) => users.get(me.id))).displayName, "Deleted user")
        assert.deepStrictEqual(
          (yield* wholeLog(id)).map(({ event }) => event),
          ["conversation.created", "message.created", "member.role-changed", "member.left"]
        )
        assert.strictEqual(yield* outcome(scheduled.get(me.id, later.id)), "NotFound")
        assert.strictEqual(yield* outcome(accounts.delete(actor, me.id)), "NotFound")
        assert.strictEqual(yield* outcome(accounts.delete(actor, nobody)), "NotFound")
        assert.deepStrictEqual(
          (yield* actsOn(me.id)).map(({ act, detail }) => [act, detail]),
          [["admin.deleteAccount", { endedSessions: 1 }]]
        )
      })
    )

    it.effect("finds no account that does not exist or is deleted", () =>
      Effect.gen(function* () {
        const accounts = yield* AccountAdmin
        const sessions = yield* Sessions
        const { me, person, principal } = yield* signedIn
        yield* sessions.closeAccount(principal, person.password, Effect.void)
        for (const id of [nobody, me.id]) {
          for (const act of [accounts.disable, accounts.enable, accounts.endSessions])
            assert.strictEqual(yield* outcome(act(actor, id)), "NotFound")
          assert.strictEqual(yield* outcome(accounts.get(id)), "NotFound")
          assert.deepStrictEqual(yield* actsOn(id), [])
        }
        const { items } = yield* accounts.list({ query: `deleted-${me.id}` }, { limit: 10 })
        assert.deepStrictEqual(items, [])
      })
    )

    it.effect("lists accounts by username, address and status, page by page", () =>
      Effect.gen(function* () {
        const accounts = yield* AccountAdmin
        const users = yield* Users
        const people = ["list-b", "list-a", "list-c", "list-d"].map((name) => someone(name))
        const made = yield* Effect.forEach(people, (person) => users.register(person))
        const [b, a, c] = made
        if (a === undefined || b === undefined || c === undefined) return assert.fail("nobody")
        yield* accounts.disable(actor, a.id)
        yield* accounts.disable(actor, c.id)
        const names = (filter: Parameters<typeof accounts.list>[0], limit = 10, cursor?: string) =>
          Effect.map(accounts.list(filter, { limit, cursor }), ({ items }) => items.map(({ username }) => username))
        const all = made.map(({ username }) => username).toSorted()
        assert.deepStrictEqual(yield* names({ query: "LIST-" }), all)
        assert.deepStrictEqual(yield* names({ query: "list-", status: "disabled" }), [a.username, c.username])
        assert.deepStrictEqual(
          yield* names({ query: "list-", status: "active" }),
          all.filter((name) => name !== a.username && name !== c.username)
        )
        assert.deepStrictEqual(yield* names({ query: b.email.toUpperCase() }), [b.username])
        assert.deepStrictEqual(yield* names({ query: b.email.slice(0, -1) }), [])
        const first = yield* accounts.list({ query: "list-" }, { limit: 3 })
        const rest = yield* names({ query: "list-" }, 3, first.nextCursor)
        assert.deepStrictEqual([...first.items.map(({ username }) => username), ...rest], all)
        const { disabledAt, team, ...profile } = yield* accounts.get(b.id)
        assert.deepStrictEqual([profile, disabledAt, team], [b, null, null])
        assert.strictEqual(yield* refused(accounts.list({}, { limit: 0 })), "limit")
        assert.strictEqual(yield* refused(accounts.list({}, { limit: 1, cursor: cursorWith(1) })), "cursor")
        assert.strictEqual(yield* refused(accounts.list({ query: "\0" }, { limit: 1 })), "query")
      })
    )
  })
}
