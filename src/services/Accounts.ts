import { Context, Effect, Layer } from "effect"
import type { Forbidden, RateLimited, Unavailable } from "../domain/Problem.ts"
import type { Principal } from "../domain/Session.ts"
import { Members } from "./Members.ts"
import { Sessions } from "./Sessions.ts"

/** The end of accounts. */
export class Accounts extends Context.Service<
  Accounts,
  {
    /**
     * Leaves all groups as their members do, then ends the account and its sessions in one transaction. The messages
     * stay, under a user of whom nothing else is left; so do the DMs, for the others. E-mail address and username are
     * free again. When it fails on the way some groups may be left already, and it can be done again.
     */
    readonly delete: (
      principal: Principal,
      password: string
    ) => Effect.Effect<void, Forbidden | RateLimited | Unavailable>
  }
>()("chat/services/Accounts") {
  static readonly layer = Layer.effect(
    Accounts,
    Effect.gen(function* () {
      const members = yield* Members
      const sessions = yield* Sessions
      return Accounts.of({
        delete: Effect.fn("Accounts.delete")((principal, password) =>
          sessions.closeAccount(principal, password, members.leaveAll(principal.userId))
        )
      })
    })
  )
}
