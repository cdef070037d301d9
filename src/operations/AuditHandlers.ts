import { Effect } from "effect"
import { toPage } from "../domain/Page.ts"
import { type Principal, programOf } from "../domain/Session.ts"
import { Audit } from "../services/admin/Audit.ts"
import { Settings } from "../services/platform/Settings.ts"
import { Audit as Declared } from "./Audit.ts"
import { asService } from "./Callers.ts"
import { reads } from "./Operations.ts"

/**
 * Makes the function that puts the line for the audit log before a call, when a program makes it in the name of a user and
 * it may change something. `data` is the payload. Every transport runs the calls of users through it.
 */
export const makeActing = Effect.map(
  Audit,
  (audit) =>
    <A, E, R>(principal: Principal, name: string, data: unknown, call: Effect.Effect<A, E, R>) => {
      const program = programOf(principal)
      return program === undefined || reads.has(name)
        ? call
        : Effect.andThen(audit.acting(program, principal.userId, name, data), call)
    }
)

/** Serves the operations of `Audit`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const audit = yield* Audit
    const { pageSize } = (yield* Settings).limits
    return Declared.rpcs.of({
      "audit.list": asService((_, page) => audit.list(toPage(page, pageSize)))
    })
  })
)
