import { assert, describe, layer as withLayer } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { ConversationId, UserId } from "../../../src/domain/Ids.ts"
import { AccountClosing } from "../../../src/services/conversations/AccountClosing.ts"
import { Members } from "../../../src/services/conversations/Members.ts"
import { signedIn } from "../../support/Accounts.ts"
import { append, chat, entryOf, groupOf, outcome, person, wholeLog } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { blocked, holdHead, holding, holdMember } from "../../support/Holding.ts"

/**
 * Begins `work` and returns once `count` statements wait for a lock, this one among them. PostgreSQL lets a statement
 * overtake others that do not wait yet.
 */
const behind = <A, E, R>(count: number, work: Effect.Effect<A, E, R>) =>
  Effect.tap(Effect.forkChild(work, { startImmediately: true }), () => blocked(count))

const remove = (actor: UserId, id: ConversationId, userId: UserId) =>
  Members.use((members) => members.remove(actor, id, userId))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => {
    withLayer(chat.sql.pipe(Layer.provideMerge(database.layer)))("Members: races", (it) => {
      it.effect("a change that waited behind a removal sees it", () =>
        Effect.gen(function* () {
          const [owner, b, c] = [yield* person, yield* person, yield* person]
          const id = yield* groupOf(owner, b, c)
          yield* Members.use((members) => members.update(owner, id, b, "admin"))
          const release = yield* holdHead(id)
          const removing = yield* behind(1, remove(owner, id, b))
          const sending = yield* behind(2, outcome(append(entryOf(id, b))))
          const again = yield* behind(3, outcome(Members.use((members) => members.add(b, id, [c]))))
          yield* release
          yield* Fiber.join(removing)
          assert.deepStrictEqual([yield* Fiber.join(sending), yield* Fiber.join(again)], ["NotFound", "NotFound"])
          assert.deepStrictEqual(
            (yield* wholeLog(id)).map(({ event }) => event),
            ["conversation.created", "member.role-changed", "member.left"]
          )
        })
      )

      it.effect("an owner who waited behind the other owner's leaving is the last one", () =>
        Effect.gen(function* () {
          const [a, b, c] = [yield* person, yield* person, yield* person]
          const id = yield* groupOf(a, b, c)
          yield* Members.use((members) => members.update(a, id, b, "owner"))
          const release = yield* holdHead(id)
          const leaving = yield* behind(1, remove(a, id, a))
          const second = yield* behind(2, remove(b, id, b))
          yield* release
          yield* Fiber.join(leaving)
          yield* Fiber.join(second)
          assert.deepStrictEqual(
            (yield* wholeLog(id)).slice(2).map(({ data, event }) => [event, "userId" in data ? data.userId : a]),
            [
              ["member.left", a],
              ["member.role-changed", c],
              ["member.left", b]
            ]
          )
        })
      )

      it.effect("an account whose user is being added is closed once the user has left", () =>
        Effect.gen(function* () {
          const { principal } = yield* signedIn
          const owner = yield* person
          const id = yield* groupOf(owner, principal.userId)
          yield* remove(principal.userId, id, principal.userId)
          const release = yield* holdMember(id, principal.userId)
          const add = Members.use((members) => members.add(owner, id, [principal.userId]))
          const adding = yield* behind(1, add)
          const close = AccountClosing.use((accounts) => accounts.delete(principal, "correct horse"))
          const closing = yield* behind(2, close)
          yield* release
          yield* Fiber.join(adding)
          yield* Fiber.join(closing)
          assert.deepStrictEqual(
            (yield* wholeLog(id)).slice(1).map(({ event }) => event),
            ["member.left", "member.joined", "member.left"]
          )
        })
      )

      it.effect("an account is not closed by a password that is changed meanwhile", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const { principal } = yield* signedIn
          const change = sql`UPDATE users SET password_hash = 'another' WHERE id = ${principal.userId}::uuid`
          const commit = yield* holding(change)
          const close = AccountClosing.use((accounts) => accounts.delete(principal, "correct horse"))
          const closing = yield* behind(1, outcome(close))
          yield* commit
          assert.strictEqual(yield* Fiber.join(closing), "Forbidden")
        })
      )

      it.effect("a removal waits for a change of the member's own state and blocks nothing else", () =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const [a, b] = [yield* person, yield* person]
          const id = yield* groupOf(a, b)
          const release = yield* holdMember(id, b)
          const removing = yield* behind(1, remove(a, id, b))
          // A change of settings takes this lock next. If the removal held it, each would wait for the other.
          assert.lengthOf(yield* sql`SELECT FROM user_heads WHERE user_id = ${b}::uuid FOR UPDATE SKIP LOCKED`, 1)
          yield* release
          yield* Fiber.join(removing)
        })
      )
    })
  })
}
