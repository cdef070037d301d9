import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { TestClock } from "effect/testing"
import type { NewServiceToken } from "../../../src/domain/ServiceToken.ts"
import { AccountAdmin } from "../../../src/services/admin/AccountAdmin.ts"
import { Audit } from "../../../src/services/admin/Audit.ts"
import { Principals } from "../../../src/services/admin/Principals.ts"
import { ServiceTokens } from "../../../src/services/admin/ServiceTokens.ts"
import { PubSub, sessionsEnded } from "../../../src/services/bus/PubSub.ts"
import { sessionsSubject } from "../../../src/services/bus/Subjects.ts"
import { Sessions } from "../../../src/services/identity/Sessions.ts"
import { outcome, people, until } from "../../support/Chat.ts"
import type { Operators } from "../../support/Operators.ts"

const actor = "cli:ann"
/** Has the node look at what has ended, as another node does that has ended something. */
const look = PubSub.use((pubSub) => pubSub.publish(sessionsSubject, [sessionsEnded([], false)]))

const unknownUser = "00000000-0000-7000-8000-000000000000"

const tokenWith = (token: Partial<NewServiceToken> = {}) =>
  ServiceTokens.use((tokens) => tokens.create(actor, { name: "a token", scopes: ["act-as"], ...token }))
const authenticate = (token: string, actAs?: string) =>
  Principals.use((principals) => principals.authenticate(token, actAs))

/** The sessions whose end this node has heard of, as `closed id` or `ended id`. */
const heard = Effect.gen(function* () {
  const ends: Array<string> = []
  yield* Sessions.use((sessions) =>
    sessions.onEnded((ids, closed) => void ends.push(...ids.map((id) => `${closed ? "closed" : "ended"} ${id}`)))
  )
  return ends
})

/** The behaviour that every implementation of Principals must have. */
export const principalsContract = <E>(layer: Layer.Layer<Operators, E>) => {
  withLayer(layer)("Principals", (it) => {
    it.effect("are the user whom a program with the scope acts as, apart from all sessions", () =>
      Effect.gen(function* () {
        const [a = assert.fail(), b = assert.fail()] = yield* people(2)
        const { id, token } = yield* tokenWith({ expiresInSeconds: 600 })
        const asA = yield* authenticate(token, a)
        assert.deepInclude(asA, { userId: a, serviceTokenId: id })
        assert.strictEqual((yield* authenticate(token, a.toUpperCase())).sessionId, asA.sessionId)
        assert.notStrictEqual((yield* authenticate(token, b)).sessionId, asA.sessionId)
        assert.notStrictEqual((yield* authenticate((yield* tokenWith()).token, a)).sessionId, asA.sessionId)
        yield* Principals.use((principals) => principals.check(asA))
        const refusals = [
          yield* outcome(authenticate((yield* tokenWith({ scopes: ["admin", "tokens"] })).token, a)),
          yield* outcome(authenticate(token, unknownUser)),
          yield* outcome(authenticate(token, "ext:unknown")),
          yield* outcome(authenticate(token, "")),
          yield* outcome(authenticate(token, "ann")),
          yield* outcome(authenticate(token, "ext:")),
          yield* outcome(authenticate(token)),
          yield* outcome(authenticate("a.b.c", a))
        ]
        assert.deepStrictEqual(refusals, [
          ...["Forbidden", "Forbidden", "Forbidden"],
          ...["InvalidRequest", "InvalidRequest", "InvalidRequest"],
          ...["token-invalid", "token-invalid"]
        ])
      })
    )

    it.effect("end with the token and with the account, also where something is open", () =>
      Effect.gen(function* () {
        const [a = assert.fail(), b = assert.fail(), c = assert.fail()] = yield* people(3)
        const principals = yield* Principals
        const accounts = yield* AccountAdmin
        const ends = yield* heard
        const open = { isClosing: false }
        const acting = Effect.fnUntraced(function* (token: string, userId: string, socket = open) {
          const principal = yield* authenticate(token, userId)
          yield* principals.watch(principal, socket)
          yield* principals.watch(principal, socket)
          return principal
        })
        const lasting = yield* tokenWith()
        const revoked = yield* tokenWith()
        const brief = yield* tokenWith({ expiresInSeconds: 60 })
        const kept = yield* acting(lasting.token, a)
        const cut = yield* acting(revoked.token, a)
        yield* acting(revoked.token, b, { isClosing: true })
        const expiring = yield* acting(brief.token, a)
        const disabled = yield* acting(lasting.token, b)
        const deleted = yield* acting(lasting.token, c)

        yield* ServiceTokens.use((tokens) => tokens.revoke(actor, revoked.id))
        yield* accounts.disable(actor, b)
        yield* accounts.delete(actor, c)
        yield* look
        yield* until(Effect.sync(() => ends.length >= 3))
        assert.sameMembers(ends, [
          `ended ${cut.sessionId}`,
          `closed ${disabled.sessionId}`,
          `closed ${deleted.sessionId}`
        ])
        for (const over of [cut, disabled, deleted])
          assert.strictEqual(yield* outcome(principals.check(over)), "session-ended")
        yield* principals.check(kept)
        yield* principals.check(expiring)
        yield* TestClock.adjust("1 minute")
        yield* principals.check(kept)
        assert.strictEqual(yield* outcome(principals.check(expiring)), "session-ended")
        assert.strictEqual(yield* outcome(authenticate(brief.token, a)), "token-expired")
        assert.strictEqual(yield* outcome(authenticate(revoked.token, a)), "token-invalid")
        assert.strictEqual(yield* outcome(authenticate(lasting.token, b)), "account-disabled")
        assert.strictEqual(yield* outcome(authenticate(lasting.token, c)), "Forbidden")
      })
    )

    it.effect("leave a line in the audit log before each act, with the ids that it is about", () =>
      Effect.gen(function* () {
        const [a = assert.fail()] = yield* people(1)
        const audit = yield* Audit
        const { id } = yield* tokenWith()
        const data = { messageId: unknownUser, userIds: [a], body: "a secret", replyTo: null, payload: { id: "b" } }
        yield* Effect.all(
          ["message.send", "message.edit", "message.delete"].map((act) => audit.acting(id, a, act, data)),
          { concurrency: 3 }
        )
        const { items } = yield* audit.list({ limit: 3 })
        assert.deepStrictEqual(
          items.map(({ act, actor, detail, target }) => ({ act, actor, detail, target })),
          ["message.delete", "message.edit", "message.send"].map((act) => ({
            act,
            actor: `token:${id}`,
            detail: { messageId: unknownUser, userIds: [a] },
            target: { kind: "user", id: a }
          }))
        )
      })
    )
  })
}
