import { assert, layer as withLayer } from "@effect/vitest"
import { DateTime, Effect, type Layer } from "effect"
import { TestClock } from "effect/testing"
import { UserId } from "../../../src/domain/Ids.ts"
import { Audit } from "../../../src/services/admin/Audit.ts"
import { PasswordResets } from "../../../src/services/admin/PasswordResets.ts"
import { Sessions } from "../../../src/services/identity/Sessions.ts"
import { signedIn } from "../../support/Accounts.ts"
import { outcome, refused } from "../../support/Chat.ts"
import type { Operators } from "../../support/Operators.ts"

const actor = "cli:ann"
const nobody = UserId.make("00000000-0000-7000-8000-000000000000")

/** A signed-in user who can try other passwords. */
const forgetful = Effect.gen(function* () {
  const sessions = yield* Sessions
  const user = yield* signedIn
  const login = (password: string) => outcome(sessions.login({ ...user.device, login: user.person.username, password }))
  const alive = outcome(sessions.authenticate(user.tokens.accessToken))
  return { ...user, login, alive }
})

/** The behaviour that every implementation of PasswordResets must have. */
export const passwordResetsContract = <E>(layer: Layer.Layer<Operators, E>) => {
  withLayer(layer)("PasswordResets", (it) => {
    it.effect("set a new password, and end all sessions", () =>
      Effect.gen(function* () {
        const resets = yield* PasswordResets
        const { alive, login, me, person } = yield* forgetful
        const { token } = yield* resets.create(actor, me.id)
        assert.strictEqual(yield* refused(resets.set(actor, me.id, "short")), "password")
        assert.strictEqual(yield* refused(resets.set(actor, me.id, "12345678")), "password")
        assert.strictEqual(yield* alive, "ok")
        yield* resets.set(actor, me.id, "battery staple")
        assert.strictEqual(yield* alive, "session-ended")
        assert.strictEqual(yield* login(person.password), "Unauthenticated")
        assert.strictEqual(yield* login("battery staple"), "ok")
        // Whoever has a token that was made before does not get in.
        assert.strictEqual(yield* outcome(resets.use({ token, newPassword: "another staple" })), "token-invalid")
        assert.strictEqual(yield* outcome(resets.set(actor, nobody, "battery staple")), "NotFound")
      })
    )

    it.effect("are a token that works once, within an hour", () =>
      Effect.gen(function* () {
        const resets = yield* PasswordResets
        const { alive, login, me, person } = yield* forgetful
        const now = yield* DateTime.now
        const first = yield* resets.create(actor, me.id)
        assert.match(first.token, /^cpr_[0-9A-Za-z]{46}$/)
        assert.isNull(first.url)
        assert.strictEqual(Date.parse(first.expiresAt) - now.epochMilliseconds, 3_600_000)
        const { token } = yield* resets.create(actor, me.id)
        const use = (token: string, newPassword = "battery staple") => resets.use({ token, newPassword })
        assert.strictEqual(yield* outcome(use(first.token)), "token-invalid", "it was replaced")
        assert.strictEqual(yield* refused(use(token, "short")), "newPassword")
        yield* TestClock.adjust("59 minutes")
        assert.strictEqual(yield* login(person.password), "ok")
        const attempts = yield* Effect.all([outcome(use(token)), outcome(use(token, "another staple"))], {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(attempts.toSorted(), ["ok", "token-invalid"])
        assert.strictEqual(yield* login(attempts[0] === "ok" ? "battery staple" : "another staple"), "ok")
        assert.strictEqual(yield* alive, "session-ended")
        assert.strictEqual(yield* login(person.password), "Unauthenticated")

        const late = yield* resets.create(actor, me.id)
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(yield* outcome(use(late.token)), "token-invalid")
        for (const wrong of ["", "cpr_", `${late.token}a`])
          assert.strictEqual(yield* outcome(use(wrong)), "token-invalid")
      })
    )

    it.effect("are not for deleted accounts", () =>
      Effect.gen(function* () {
        const resets = yield* PasswordResets
        const { me, person, principal } = yield* signedIn
        const { token } = yield* resets.create(actor, me.id)
        yield* Sessions.use((sessions) => sessions.closeAccount(principal, person.password, Effect.void))
        assert.strictEqual(yield* outcome(resets.use({ token, newPassword: "battery staple" })), "token-invalid")
        assert.strictEqual(yield* outcome(resets.create(actor, me.id)), "NotFound")
        assert.strictEqual(yield* outcome(resets.set(actor, me.id, "battery staple")), "NotFound")
        assert.strictEqual(yield* outcome(resets.create(actor, nobody)), "NotFound")
      })
    )

    it.effect("are in the audit log, without password and token", () =>
      Effect.gen(function* () {
        const resets = yield* PasswordResets
        const { me } = yield* signedIn
        const { expiresAt, token } = yield* resets.create(actor, me.id)
        yield* resets.set(actor, me.id, "battery staple")
        const { items } = yield* Audit.use((audit) => audit.list({ limit: 2 }))
        assert.deepStrictEqual(
          items.map(({ act, actor, detail, target }) => [act, actor, detail, target.id]),
          [
            ["admin.setPassword", actor, { endedSessions: 1 }, me.id],
            ["admin.resetPassword", actor, { expiresAt }, me.id]
          ]
        )
        assert.notInclude(JSON.stringify(items), token)
      })
    )
  })
}
