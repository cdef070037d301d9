import { Effect } from "effect"
import type { Credentials } from "../Credentials.ts"
import type { ConnectionLost, Refused } from "../Failures.ts"

/** A first renewal may find a pair in the storage that has expired too; the second one then renews that. */
const mostRenewals = 2

/**
 * Makes a request with the token of the user, and once more with a renewed token when the answer is a 401. When the token
 * cannot be renewed, the result is that of `unrenewed`, which gets the reason and the answer.
 */
export const withRenewal = <A extends { readonly status: number }, E, R, E2, R2, E3>(
  token: Effect.Effect<string, E3>,
  renewed: Credentials["Service"]["renewed"],
  request: (token: string) => Effect.Effect<A, E, R>,
  unrenewed: (failure: Refused | ConnectionLost, answer: A) => Effect.Effect<A, E2, R2>
): Effect.Effect<A, E | E2 | E3, R | R2> => {
  const attempt = (current: string, renewals: number): Effect.Effect<A, E | E2, R | R2> =>
    Effect.flatMap(request(current), (answer) =>
      answer.status !== 401 || renewals === 0
        ? Effect.succeed(answer)
        : Effect.matchEffect(renewed(current), {
            onFailure: (failure) => unrenewed(failure, answer),
            onSuccess: (next) => attempt(next, renewals - 1)
          })
    )
  return Effect.flatMap(token, (current) => attempt(current, mostRenewals))
}
