import { Context, Effect, Layer } from "effect"
import type { Forbidden, InvalidRequest, RateLimited, Unavailable } from "../../domain/Problem.ts"
import type { Principal } from "../../domain/Session.ts"
import { Sessions } from "../identity/Sessions.ts"
import { Members } from "./Members.ts"

/** Deletes accounts. */
export class AccountClosing extends Context.Service<
  AccountClosing,
  {
    /**
     * Lets nobody add the user to anything, leaves all groups of the user, then deletes the account and ends its sessions
     * in one transaction. Its messages stay under a user without any personal data, and its DMs stay for their peers.
     * E-mail address and username can be used again. After a failure some groups may be left already, and repeating it is
     * safe, also when the account is gone. `Forbidden` for a wrong password, and `InvalidRequest` for none, which only
     * guests may leave out.
     */
    readonly delete: (
      principal: Principal,
      password?: string
    ) => Effect.Effect<void, InvalidRequest | Forbidden | RateLimited | Unavailable>
  }
>()("chat/services/AccountClosing") {
  static readonly layer = Layer.effect(
    AccountClosing,
    Effect.gen(function* () {
      const members = yield* Members
      const sessions = yield* Sessions
      return AccountClosing.of({
        delete: Effect.fn("AccountClosing.delete")((principal, password) =>
          sessions.closeAccount(principal, password, members.leaveAll(principal.userId))
        )
      })
    })
  )
}
