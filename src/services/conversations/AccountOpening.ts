import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { RegistrationMode } from "../../domain/Account.ts"
import type { Conflict, Forbidden, InvalidRequest, NotFound, RateLimited, Unavailable } from "../../domain/Problem.ts"
import { inviteRequired, passwordsDisabled, registrationClosed } from "../../domain/Refusals.ts"
import type { Me, Registration } from "../../domain/User.ts"
import { Users } from "../identity/Users.ts"
import { Settings } from "../platform/Settings.ts"
import { orUnavailable } from "../platform/Sql.ts"
import { Invites } from "./Invites.ts"

/** What an operator has chosen at run time in place of the setting `auth.registration`. */
export class RegistrationChoice extends Context.Service<
  RegistrationChoice,
  {
    /** The choice that holds on all nodes now; undefined when the setting holds. */
    readonly get: Effect.Effect<RegistrationMode | undefined, Unavailable>
  }
>()("chat/services/RegistrationChoice") {
  static readonly layer = Layer.effect(
    RegistrationChoice,
    Effect.map(SqlClient.SqlClient, (sql) =>
      RegistrationChoice.of({
        get: sql<{ mode: RegistrationMode }>`SELECT mode FROM registration_choice`.pipe(
          Effect.map(([row]) => row?.mode),
          orUnavailable
        )
      })
    )
  )
}

/** Opens accounts for people who register by themselves. */
export class AccountOpening extends Context.Service<
  AccountOpening,
  {
    /**
     * Makes an account with a password, where `auth.passwords` permits that (else `Forbidden`, "passwords-disabled"), and as
     * the choice of an operator or else `auth.registration` permits it: not at all (`Forbidden`, "registration-closed"), with an
     * invite (`Forbidden`, "invite-required", without one) or for everybody. With an invite the new user joins its group,
     * and there is no account when that fails: `NotFound` for an invite that nobody can accept, `Conflict` ("group-full")
     * without room. Repeating it is a `Conflict`.
     */
    readonly register: (
      registration: Registration & { readonly ip: string }
    ) => Effect.Effect<Me, InvalidRequest | Forbidden | NotFound | Conflict | RateLimited | Unavailable>
  }
>()("chat/services/AccountOpening") {
  static readonly layer = Layer.effect(
    AccountOpening,
    Effect.gen(function* () {
      const { auth } = yield* Settings
      const choice = yield* RegistrationChoice
      const users = yield* Users
      const invites = yield* Invites
      return AccountOpening.of({
        register: Effect.fn("AccountOpening.register")(function* ({ inviteCode, ...registration }) {
          if (!auth.passwords) return yield* passwordsDisabled
          const mode = (yield* choice.get) ?? auth.registration
          if (mode === "closed") return yield* registrationClosed
          if (inviteCode !== undefined) {
            return yield* users.register(registration, (user) => invites.register(user, inviteCode))
          }
          if (mode === "invite") return yield* inviteRequired
          return yield* users.register(registration)
        })
      })
    })
  )
}
