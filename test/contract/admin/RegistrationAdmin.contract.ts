import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { Audit } from "../../../src/services/admin/Audit.ts"
import { RegistrationAdmin } from "../../../src/services/admin/RegistrationAdmin.ts"
import { AccountOpening } from "../../../src/services/conversations/AccountOpening.ts"
import { Invites } from "../../../src/services/conversations/Invites.ts"
import { someone } from "../../support/Accounts.ts"
import { groupOf, outcome, people } from "../../support/Chat.ts"
import type { Operators } from "../../support/Operators.ts"

const actor = "cli:ann"

/** The behaviour that every implementation of RegistrationAdmin must have. */
export const registrationAdminContract = <E>(layer: Layer.Layer<Operators, E>) => {
  withLayer(layer)("RegistrationAdmin", (it) => {
    it.effect("holds at once in place of the setting, until the setting holds again, and is in the audit log", () =>
      Effect.gen(function* () {
        const registration = yield* RegistrationAdmin
        const opening = yield* AccountOpening
        const [owner = assert.fail()] = yield* people(1)
        const { code } = yield* Invites.use((invites) =>
          Effect.flatMap(groupOf(owner), (id) => invites.create(owner, id, {}))
        )
        /** How registering ends without and with an invite. */
        const register = Effect.suspend(() =>
          Effect.all([
            outcome(opening.register(someone())),
            outcome(opening.register({ ...someone(), inviteCode: code }))
          ])
        )
        const open = { mode: "open", chosen: false } as const
        yield* registration.set(actor, null)
        assert.deepStrictEqual(yield* registration.get, open)
        assert.deepStrictEqual(yield* register, ["ok", "ok"])

        yield* registration.set(actor, "closed")
        assert.deepStrictEqual(yield* registration.get, { mode: "closed", chosen: true })
        assert.deepStrictEqual(yield* register, ["registration-closed", "registration-closed"])
        yield* registration.set(actor, "closed")
        yield* registration.set(actor, "invite")
        assert.deepStrictEqual(yield* register, ["invite-required", "ok"])
        yield* registration.set(actor, null)
        assert.deepStrictEqual([yield* registration.get, yield* register], [open, ["ok", "ok"]])

        const { items } = yield* Audit.use((audit) => audit.list({ limit: 4 }))
        const target = { kind: "setting", id: "auth.registration" }
        assert.deepStrictEqual(
          items.slice(0, 3).map((line) => [line.act, line.actor, line.target, line.detail]),
          [null, "invite", "closed"].map((mode) => ["admin.setRegistration", actor, target, { mode }])
        )
        assert.notStrictEqual(items[3]?.act, "admin.setRegistration", "what changes nothing is not in it")
      })
    )
  })
}
