import { availableParallelism } from "node:os"
import { hash, verify } from "@node-rs/argon2"
import { Context, Effect, Layer } from "effect"
import { RateLimited, type Reason, type Unavailable, wrongLength } from "../../domain/Problem.ts"
import { FairQueue } from "../platform/load/FairQueue.ts"
import { weakness } from "./WeakPasswords.ts"

/** argon2id (the package's default) at OWASP's lowest memory setting: 19 MiB and about 20 ms of a core. */
const cost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

/** One core is left to everything else, and one account is checked once at a time. */
const bounds = {
  atATime: Math.max(1, availableParallelism() - 1),
  atATimePerKey: 1,
  // Longer queues would wait for half a minute.
  waiting: 1000,
  waitingPerKey: 20,
  detail: "Too many sign-ins at once"
}

/** How many checks of one address may be under way or wait. */
const maxPerAddress = 300

/** The turn of a hash: that of the account, whose hashes wait for each other, and of the address that asks. */
export interface Turn {
  readonly account: string
  readonly address: string
}

const maxBytes = 512

/** Makes a password the same text, however the keyboard composed its accents. */
const normalize = (password: string) => password.normalize("NFKC")

/**
 * Why a new password does not have the right length; undefined when it has. Lengths are in characters, as typed and as
 * normalized: one character such as U+FDFA becomes eighteen.
 */
export const passwordIssue = (
  password: string,
  length: { readonly min: number; readonly max: number }
): Reason | undefined => {
  const text = normalize(password)
  const typed = Array.from(password).length
  const characters = Array.from(text).length
  // Composing accents makes a text shorter, so only the normalized one must not be too long.
  return Math.min(typed, characters) < length.min || characters > length.max
    ? wrongLength(length)
    : Buffer.byteLength(text) > maxBytes
      ? { message: `must have at most ${maxBytes} bytes` }
      : undefined
}

/** Why a new password is refused, for its length or its weakness; undefined when it is not. */
export const newPasswordIssue = (password: string, length: Parameters<typeof passwordIssue>[1]) =>
  passwordIssue(password, length) ?? weakness(password)

/** A hash function for passwords, which may run in another thread. */
interface Hasher {
  readonly hash: (password: string) => Promise<string>
  /** Undefined for a text that is not a hash. */
  readonly verify: (hash: string, password: string) => Promise<boolean | undefined>
}

const notAHash = "The stored password hash of an account is not a hash: give the account a new password"

/** The error of the package for a text that is not a hash. */
const isNoHash = (cause: unknown) => cause instanceof Error && "code" in cause && cause.code === "InvalidArg"

/**
 * Hashes passwords off the main thread, and leaves one core to everything else, so that logins never starve messages. The
 * accounts take turns. An account or an address that asks for too much at once is refused with `RateLimited`, so that it
 * does not keep others from signing in.
 */
export class Passwords extends Context.Service<
  Passwords,
  {
    /** The hash of a new password, with a random salt: each call gives another one. */
    readonly hash: (password: string, turn: Turn) => Effect.Effect<string, RateLimited | Unavailable>
    /**
     * Whether the password is the one that was hashed. `null` stands for an account that does not exist: the check
     * takes the same time and the password is never right. For a stored text that is not a hash the password is never
     * right either, and one line is logged. `before` runs when the work is about to begin; if it fails, nothing is
     * hashed.
     */
    readonly verify: <E = never>(
      hash: string | null,
      password: string,
      turn: Turn,
      before?: Effect.Effect<void, E>
    ) => Effect.Effect<boolean, E | RateLimited | Unavailable>
  }
>()("chat/services/Passwords") {
  /** The queue and the rules, around any hash function. */
  static readonly make = (hasher: Hasher) =>
    Effect.gen(function* () {
      const queue = new FairQueue(bounds)
      const nobody = yield* Effect.promise(() => hasher.hash("the password of no account"))
      const perAddress = new Map<string, number>()

      const enter = (address: string) =>
        Effect.suspend(() => {
          const others = perAddress.get(address) ?? 0
          if (others >= maxPerAddress)
            return Effect.fail(new RateLimited({ retryAfterMs: 1000, detail: bounds.detail }))
          perAddress.set(address, others + 1)
          return Effect.void
        })
      const leave = (address: string) =>
        Effect.sync(() => {
          const others = (perAddress.get(address) ?? 1) - 1
          if (others === 0) perAddress.delete(address)
          else perAddress.set(address, others)
        })
      const inTurn = <A, E>({ account, address }: Turn, work: Effect.Effect<A, E>) =>
        Effect.acquireUseRelease(
          enter(address),
          () => queue.run(account, work),
          () => leave(address)
        )
      // A thread that has begun cannot be stopped, so its permit must not be free before it ends.
      const run = <A>(work: () => Promise<A> | A) => Effect.uninterruptible(Effect.promise(async () => work()))

      return Passwords.of({
        hash: Effect.fn("Passwords.hash")((password: string, turn: Turn) =>
          inTurn(
            turn,
            run(() => hasher.hash(normalize(password)))
          )
        ),
        verify: Effect.fn("Passwords.verify")(
          <E = never>(
            hash: string | null,
            password: string,
            turn: Turn,
            before: Effect.Effect<void, E> = Effect.void
          ) => {
            const text = normalize(password)
            const known = hash !== null && Buffer.byteLength(text) <= maxBytes
            const wrong = Effect.as(
              run(() => hasher.verify(nobody, "")),
              false
            )
            const check = Effect.flatMap(
              run(() => (known ? hasher.verify(hash, text) : undefined)),
              (right) => {
                if (right !== undefined) return Effect.succeed(right)
                return known ? Effect.andThen(Effect.logWarning(notAHash), wrong) : wrong
              }
            )
            return inTurn(turn, Effect.andThen(before, check))
          }
        )
      })
    })

  /** Passwords with argon2id. */
  static readonly layer = Layer.effect(
    Passwords,
    Passwords.make({
      hash: (password) => hash(password, cost),
      verify: (hash, password) =>
        verify(hash, password).catch((cause: unknown) => {
          if (isNoHash(cause)) return undefined
          throw cause
        })
    })
  )
}
