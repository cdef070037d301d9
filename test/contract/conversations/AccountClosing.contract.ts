import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Effect, type Layer } from "effect"
import type { SessionId } from "../../../src/domain/Ids.ts"
import { AccountClosing } from "../../../src/services/conversations/AccountClosing.ts"
import { Blocks } from "../../../src/services/conversations/Blocks.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { Members } from "../../../src/services/conversations/Members.ts"
import { Sessions } from "../../../src/services/identity/Sessions.ts"
import { Users } from "../../../src/services/identity/Users.ts"
import { Messages } from "../../../src/services/messages/Messages.ts"
import { signedIn } from "../../support/Accounts.ts"
import {
  append,
  type Chat,
  dmOf,
  entryOf,
  groupOf,
  outcome,
  people,
  person,
  until,
  wholeLog
} from "../../support/Chat.ts"

/** The behaviour that every implementation of AccountClosing must have. */
export const accountClosingContract = <E>(layer: Layer.Layer<Chat, E>) => {
  withLayer(layer)("AccountClosing", (it) => {
    it.effect("are deleted only with the password, on all devices, and for good", () =>
      Effect.gen(function* () {
        const accounts = yield* AccountClosing
        const sessions = yield* Sessions
        const { login, me, person: ann, principal, tokens, device } = yield* signedIn
        const other = yield* login("other")
        const heard: Array<readonly [ReadonlyArray<SessionId>, boolean]> = []
        yield* sessions.onEnded((ids, deleted) => heard.push([ids, deleted]))
        assert.strictEqual(yield* outcome(accounts.delete(principal, "wrong horse")), "Forbidden")
        yield* sessions.authenticate(tokens.accessToken)
        yield* accounts.delete(principal, ann.password)
        for (const { accessToken, refreshToken } of [tokens, other]) {
          assert.strictEqual(yield* outcome(sessions.authenticate(accessToken)), "session-ended")
          assert.strictEqual(yield* outcome(sessions.refresh({ refreshToken, ...device })), "Unauthenticated")
        }
        assert.strictEqual(yield* outcome(login()), "Unauthenticated")
        yield* accounts.delete(principal, ann.password)
        yield* until(Effect.sync(() => heard.length > 0))
        assert.deepStrictEqual(
          heard.map(([ids, deleted]) => [ids.toSorted(), deleted]),
          [[[principal.sessionId, other.sessionId].toSorted(), true]]
        )
        assert.strictEqual(yield* outcome(Users.use((users) => users.me(me.id))), "NotFound")
      })
    )

    it.effect("leave no personal data, and free their username and address", () =>
      Effect.gen(function* () {
        const users = yield* Users
        const { me, person: ann, principal } = yield* signedIn
        yield* AccountClosing.use((accounts) => accounts.delete(principal, ann.password))
        const left = yield* users.get(me.id)
        assert.deepInclude(left, { id: me.id, displayName: "Deleted user", avatarUrl: null })
        assert.notInclude(JSON.stringify(left), ann.username)
        assert.deepStrictEqual(yield* users.search({ query: ann.username, viewerId: me.id, limit: 10 }), { items: [] })
        assert.deepStrictEqual(yield* users.search({ query: "deleted", viewerId: me.id, limit: 10 }), { items: [] })
        const again = yield* users.register({ ...ann, ip: "10.9.9.9" })
        assert.notStrictEqual(again.id, me.id)
      })
    )

    it.effect("leave their groups as members do; their messages and DMs stay for the others", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const messages = yield* Messages
        const { me, person: ann, principal } = yield* signedIn
        const [b, c] = [yield* person, yield* person]
        const group = yield* groupOf(me.id, b, c)
        const alone = yield* groupOf(me.id)
        const dm = yield* dmOf(me.id, b)
        for (const id of [group, dm]) yield* append(entryOf(id, me.id))
        yield* AccountClosing.use((accounts) => accounts.delete(principal, ann.password))
        assert.deepStrictEqual(
          (yield* wholeLog(group)).slice(2).map(({ data, event }) => [event, "userId" in data && data.userId]),
          [
            ["member.role-changed", [b, c].toSorted()[0] ?? b],
            ["member.left", me.id]
          ]
        )
        assert.strictEqual((yield* wholeLog(alone)).at(-1)?.event, "member.left")
        for (const id of [group, dm]) {
          const { items } = yield* messages.list(b, id, { limit: 10 })
          assert.deepStrictEqual(
            items.map(({ senderId }) => senderId),
            [me.id]
          )
        }
        assert.strictEqual((yield* conversations.get(b, dm)).peer?.displayName, "Deleted user")
        const mine = yield* groupOf(b)
        assert.strictEqual(yield* outcome(Members.use((members) => members.add(b, mine, [me.id]))), "NotFound")
        assert.strictEqual(yield* outcome(conversations.create(c, { kind: "dm", userId: me.id })), "NotFound")
        assert.strictEqual(yield* outcome(Blocks.use((blocks) => blocks.add(c, me.id))), "NotFound")
      })
    )

    it.effect("are in no group afterwards, even when another member adds them meanwhile", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const members = yield* Members
        const { me, person: ann, principal } = yield* signedIn
        const others = yield* people(6)
        const groups = yield* Effect.forEach(others, (userId) => groupOf(userId))
        yield* Effect.all(
          [
            AccountClosing.use((accounts) => accounts.delete(principal, ann.password)),
            ...Arr.zip(others, groups).map(([userId, id]) => outcome(members.add(userId, id, [me.id])))
          ],
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual((yield* conversations.memberships(me.id)).memberships, [])
        for (const id of groups) yield* wholeLog(id)
      })
    )

    it.effect("cannot be kept open by who adds the user again and again", () =>
      Effect.gen(function* () {
        const members = yield* Members
        const { me, person: ann, principal } = yield* signedIn
        const [attacker] = yield* people(1)
        if (attacker === undefined) return yield* Effect.die("nobody")
        const id = yield* groupOf(attacker, me.id)
        const other = yield* groupOf(attacker)
        const added: Array<string> = []
        const context = yield* Effect.context<Conversations>()
        const leaveGroups = Effect.gen(function* () {
          yield* members.leaveAll(me.id)
          added.push(yield* outcome(members.add(attacker, id, [me.id])))
          added.push(yield* outcome(members.add(attacker, other, [me.id])))
          added.push(yield* outcome(groupOf(attacker, me.id)))
        }).pipe(Effect.provideContext(context))
        yield* Sessions.use((sessions) => sessions.closeAccount(principal, ann.password, leaveGroups))
        assert.deepStrictEqual(added, ["NotFound", "NotFound", "NotFound"])
      })
    )
  })
}
