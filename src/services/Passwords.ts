import { availableParallelism } from "node:os"
import { hash, verify } from "@node-rs/argon2"
import { Context, Effect, Layer, Semaphore } from "effect"
import { Unavailable } from "../domain/Problem.ts"

/** argon2id (the package's default) at OWASP's lowest memory setting: 19 MiB and about 20 ms of a core. */
const cost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

/** A longer queue than this is told to come back, rather than kept waiting for half a minute. */
const capacity = 1000

const maxBytes = 512

/** One password is one text, however the keyboard composed its accents. */
const normalize = (password: string) => password.normalize("NFKC")

/** Why a new password will not do; undefined when it will. Lengths are in characters. */
export const passwordIssue = (password: string, length: { readonly min: number; readonly max: number }) => {
  const text = normalize(password)
  const characters = Array.from(text).length
  return characters < length.min || characters > length.max
    ? `must have ${length.min} to ${length.max} characters`
    : Buffer.byteLength(text) > maxBytes
      ? `must have at most ${maxBytes} bytes`
      : undefined
}

interface Hasher {
  readonly hash: (password: string) => Promise<string>
  readonly verify: (hash: string, password: string) => Promise<boolean>
}

/** Hashes passwords, off the main thread and at most one per core at a time, so that logins never starve messages. */
export class Passwords extends Context.Service<
  Passwords,
  {
    readonly hash: (password: string) => Effect.Effect<string, Unavailable>
    /**
     * Whether the password is the one that was hashed. `null` stands for an account that does not exist: it takes the
     * same time and is never right. `before` runs when the work is about to begin: what it refuses costs no hash.
     */
    readonly verify: <E = never>(
      hash: string | null,
      password: string,
      before?: Effect.Effect<void, E>
    ) => Effect.Effect<boolean, E | Unavailable>
  }
>()("chat/services/Passwords") {
  static readonly make = (hasher: Hasher) =>
    Effect.gen(function* () {
      const semaphore = yield* Semaphore.make(availableParallelism())
      const nobody = yield* Effect.promise(() => hasher.hash("the password of no account"))
      let waiting = 0

      const enter = Effect.suspend(() => {
        if (waiting >= capacity) return Effect.fail(new Unavailable({ detail: "Too many sign-ins at once" }))
        return Effect.sync(() => {
          waiting++
        })
      })
      const leave = Effect.sync(() => {
        waiting--
      })
      const inTurn = <A, E>(work: Effect.Effect<A, E>) =>
        Effect.acquireUseRelease(
          enter,
          () => semaphore.withPermit(work),
          () => leave
        )
      // A thread that has begun goes on to the end: its permit must not be free before.
      const run = <A>(work: () => Promise<A>) => Effect.uninterruptible(Effect.promise(work))

      return Passwords.of({
        hash: Effect.fn("Passwords.hash")((password: string) => inTurn(run(() => hasher.hash(normalize(password))))),
        verify: Effect.fn("Passwords.verify")(
          <E = never>(hash: string | null, password: string, before: Effect.Effect<void, E> = Effect.void) => {
            const text = normalize(password)
            const known = hash !== null && Buffer.byteLength(text) <= maxBytes
            const check = run(() => (known ? hasher.verify(hash, text) : hasher.verify(nobody, "")))
            return inTurn(Effect.andThen(before, check)).pipe(Effect.map((right) => known && right))
          }
        )
      })
    })

  static readonly layer = Layer.effect(
    Passwords,
    Passwords.make({
      hash: (password) => hash(password, cost),
      verify: (hash, password) => verify(hash, password)
    })
  )

  /** For tests: the same queue and rules around something that costs nothing. */
  static readonly layerTest = Layer.effect(
    Passwords,
    Passwords.make({
      hash: async (password) => `plain:${password}`,
      verify: async (hash, password) => hash === `plain:${password}`
    })
  )
}
