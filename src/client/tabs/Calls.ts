import { Deferred, Effect, type Exit, type Fiber } from "effect"
import { ConnectionLost, type Refused } from "../Failures.ts"
import type { CommandError } from "../Operations.ts"
import type { Realtime } from "../Realtime.ts"
import { type Answer, answered, type Call, perform, sentError, type TabMessage } from "./Messages.ts"

interface Waiting {
  readonly call: Call
  readonly answer: Deferred.Deferred<unknown, CommandError>
  sent: boolean
}

/** Who carries out the calls: the client of this tab, or another tab. */
type Target =
  | {
      readonly client: Realtime["Service"]
      readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
      /** Tells a tab, or all of them, that this one leads. */
      readonly introduce: (to?: string) => void
    }
  | { readonly leader: string }

/** Makes the calls of a tab. Each goes to the leader; those that it has not answered go to the next one. */
export const makeCalls = (tab: string, post: (message: TabMessage) => void) => {
  const waiting = new Map<number, Waiting>()
  let target: Target | undefined
  let refusal: Exit.Exit<never, Refused> | undefined
  let lastId = 0

  const settle = (id: number, outcome: Effect.Effect<unknown, CommandError>) => {
    const one = waiting.get(id)
    if (one !== undefined) Deferred.doneUnsafe(one.answer, outcome)
  }

  const dispatch = (id: number, one: Waiting) => {
    const { call } = one
    if (target === undefined) return
    // The former leader may have done what was asked. The other methods may be repeated.
    if (one.sent && call.method === "command") return settle(id, Effect.fail(new ConnectionLost({})))
    one.sent = true
    if ("leader" in target) post({ _tag: "Call", leader: target.leader, from: tab, id, call })
    else target.run(Effect.map(Effect.exit(perform(target.client, call)), (exit) => settle(id, exit)))
  }

  return {
    target: () => target,

    /** Fails when the service has refused the client for good. */
    unlessRefused: Effect.suspend(() => refusal ?? Effect.void),

    /** Calls a method of the leader, whoever that is meanwhile. */
    request: (call: Call): Effect.Effect<unknown, CommandError> =>
      Effect.suspend(() => {
        if (refusal !== undefined) return refusal
        const id = ++lastId
        const one: Waiting = { call, answer: Deferred.makeUnsafe(), sent: false }
        waiting.set(id, one)
        dispatch(id, one)
        return Effect.ensuring(
          Deferred.await(one.answer),
          Effect.sync(() => waiting.delete(id))
        )
      }),

    /** Sends what waits to a new leader. Undefined: there is none for now. */
    goTo: (next: Target | undefined) => {
      target = next
      for (const [id, one] of waiting) dispatch(id, one)
    },

    /** Fails all calls from now on. */
    refuse: (exit: Exit.Exit<never, Refused>) => {
      refusal = exit
      for (const id of waiting.keys()) settle(id, exit)
    },

    /** Carries out the call of another tab, if this one leads. */
    serve: ({ call, from, id, leader }: Extract<TabMessage, { _tag: "Call" }>) => {
      if (leader !== tab || target === undefined || "leader" in target) return
      const outcome = Effect.match(perform(target.client, call), {
        onFailure: (error): Answer => ({ error: sentError(error) }),
        onSuccess: (ok): Answer => ({ ok })
      })
      target.run(Effect.map(outcome, (answer) => post({ _tag: "Answer", to: from, id, answer })))
    },

    /** Takes the answer of the leader. */
    answer: ({ answer, id }: Extract<TabMessage, { _tag: "Answer" }>) => settle(id, answered(answer))
  }
}
