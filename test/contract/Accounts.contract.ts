import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Effect, type Layer } from "effect"
import type { SessionId } from "../../src/domain/Ids.ts"
import { Accounts } from "../../src/services/Accounts.ts"
import { Blocks } from "../../src/services/Blocks.ts"
import { Conversations } from "../../src/services/Conversations.ts"
import { Members } from "../../src/services/Members.ts"
import { Messages } from "../../src/services/Messages.ts"
import { Sessions } from "../../src/services/Sessions.ts"
import { Users } from "../../src/services/Users.ts"
import { signedIn } from "../support/Accounts.ts"
import { append, type Chat, dmOf, entryOf, groupOf, outcome, people, person, until, wholeLog } from "../support/Chat.ts"

/** What every Layer of Accounts keeps. */
export const accountsContract = <E>(layer: Layer.Layer<Chat, E>) => {
  withLayer(layer)("Accounts", (it) => {
    it.effect("end with the password only, and then everywhere and for good", () =>
      Effect.gen(function* () {
        const accounts = yield* Accounts
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
        assert.strictEqual(yield* outcome(accounts.delete(principal, ann.password)), "Forbidden")
        yield* until(Effect.sync(() => heard.length > 0))
        assert.deepStrictEqual(
          heard.map(([ids, deleted]) => [ids.toSorted(), deleted]),
          [[[principal.sessionId, other.sessionId].toSorted(), true]]
        )
        assert.strictEqual(yield* outcome(Users.use((users) => users.me(me.id))), "NotFound")
      })
    )

    it.effect("leave nothing that tells who it was, and name and address to whoever wants them", () =>
      Effect.gen(function* () {
        const users = yield* Users
        const { me, person: ann, principal } = yield* signedIn
        yield* Accounts.use((accounts) => accounts.delete(principal, ann.password))
        const left = yield* users.get(me.id)
        assert.deepInclude(left, { id: me.id, displayName: "Deleted user", avatarUrl: null })
        assert.notInclude(JSON.stringify(left), ann.username)
        assert.deepStrictEqual(yield* users.search({ query: ann.username, limit: 10 }), { items: [] })
        assert.deepStrictEqual(yield* users.search({ query: "deleted", limit: 10 }), { items: [] })
        const again = yield* users.register({ ...ann, ip: "10.9.9.9" })
        assert.notStrictEqual(again.id, me.id)
      })
    )

    it.effect("leave the groups by the rule of leaving, the messages where they are, and the DMs to the others", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const messages = yield* Messages
        const { me, person: ann, principal } = yield* signedIn
        const [b, c] = [yield* person, yield* person]
        const group = yield* groupOf(me.id, b, c)
        const alone = yield* groupOf(me.id)
        const dm = yield* dmOf(me.id, b)
        for (const id of [group, dm]) yield* append(entryOf(id, me.id))
        yield* Accounts.use((accounts) => accounts.delete(principal, ann.password))
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

    it.effect("are in no group afterwards, whoever adds them meanwhile", () =>
      Effect.gen(function* () {
        const conversations = yield* Conversations
        const members = yield* Members
        const { me, person: ann, principal } = yield* signedIn
        const others = yield* people(6)
        const groups = yield* Effect.forEach(others, (userId) => groupOf(userId))
        yield* Effect.all(
          [
            Accounts.use((accounts) => accounts.delete(principal, ann.password)),
            ...Arr.zip(others, groups).map(([userId, id]) => outcome(members.add(userId, id, [me.id])))
          ],
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual((yield* conversations.places(me.id)).places, [])
        for (const id of groups) yield* wholeLog(id)
      })
    )
  })
}
