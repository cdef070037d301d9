import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { RegistrationMode, RegistrationState } from "../../domain/Account.ts"
import type { Unavailable } from "../../domain/Problem.ts"
import { RegistrationChoice } from "../conversations/AccountOpening.ts"
import { Settings } from "../platform/Settings.ts"
import { orUnavailable } from "../platform/Sql.ts"
import type { AuditActor } from "./Audit.ts"

/** Opens and closes the registration of new accounts at run time. */
export class RegistrationAdmin extends Context.Service<
  RegistrationAdmin,
  {
    /** Who may make an account now. */
    readonly get: Effect.Effect<RegistrationState, Unavailable>
    /**
     * Says who may make an account, on all nodes and at once, in place of the setting `auth.registration`; null lets the
     * setting hold again. With a line in the audit log, unless nothing changes.
     */
    readonly set: (actor: AuditActor, mode: RegistrationMode | null) => Effect.Effect<void, Unavailable>
  }
>()("chat/services/RegistrationAdmin") {
  /** The rules, on anything that stores the choice with its line in the audit log. */
  static readonly make = (set: RegistrationAdmin["Service"]["set"]) =>
    Effect.gen(function* () {
      const { auth } = yield* Settings
      const choice = yield* RegistrationChoice
      return RegistrationAdmin.of({
        get: Effect.map(choice.get, (chosen) => ({ mode: chosen ?? auth.registration, chosen: chosen !== undefined })),
        set: Effect.fn("RegistrationAdmin.set")(set)
      })
    })

  static readonly layer = Layer.effect(
    RegistrationAdmin,
    Effect.flatMap(SqlClient.SqlClient, (sql) =>
      RegistrationAdmin.make((actor, mode) =>
        sql`SELECT choose_registration(${mode}::text, ${actor}::text)`.pipe(Effect.asVoid, orUnavailable)
      )
    )
  )
}
