import {
  Clock,
  Config,
  Context,
  Effect,
  FileSystem,
  Layer,
  Option,
  Path,
  type PlatformError,
  Schedule,
  Schema
} from "effect"
import { Tokens } from "../domain/Session.ts"
import { CliFailure } from "./CliFailure.ts"

/** The URL of the service and the tokens of the user who is signed in. */
const Saved = Schema.Struct({ url: Schema.String, tokens: Schema.toEncoded(Tokens) })
type Saved = typeof Saved.Type

const SavedJson = Schema.fromJsonString(Saved)
const decode = Schema.decodeUnknownEffect(SavedJson)
const encode = Schema.encodeEffect(SavedJson)

const isReason = (tag: "AlreadyExists" | "NotFound") => (error: PlatformError.PlatformError) =>
  error.reason._tag === tag

/** A lock that is older than this, in milliseconds, was left behind by a process that ended: a renewal is shorter. */
const staleMs = 20_000

/** Keeps the session of the user in a file that no other user of the machine can read. */
export class SessionFile extends Context.Service<
  SessionFile,
  {
    /** Fails when nobody is signed in or the file cannot be read. */
    readonly load: Effect.Effect<Saved, CliFailure>
    /** Replaces the session. Repeating it is safe. */
    readonly save: (saved: Saved) => Effect.Effect<void, CliFailure>
    /** Removes the session; does nothing when there is none. */
    readonly forget: Effect.Effect<void, CliFailure>
    /** Waits until no other process renews the session. The effect that it gives lets the next process go on. */
    readonly lock: Effect.Effect<Effect.Effect<void>, CliFailure>
  }
>()("chat/cli/SessionFile") {
  /** `$XDG_CONFIG_HOME/chat-service/session.json`, or below `~/.config`. */
  static readonly layer = Layer.effect(
    SessionFile,
    Effect.gen(function* () {
      const files = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const xdg = yield* Config.option(Config.String("XDG_CONFIG_HOME"))
      const home = yield* Config.String("HOME").pipe(Config.withDefault("."))
      const folder = path.join(
        Option.getOrElse(xdg, () => path.join(home, ".config")),
        "chat-service"
      )
      const file = path.join(folder, "session.json")
      const unique = Effect.sync(() => `${file}.${crypto.randomUUID()}`)
      const failed = (what: string) =>
        Effect.mapError(
          (cause: { readonly message: string }) => new CliFailure({ message: `${what}: ${cause.message}` })
        )

      /** Creates the file of the lock, which only one process can. */
      const lockFile = `${file}.lock`
      const takeLock = files.writeFileString(lockFile, "", { flag: "wx", mode: 0o600 })

      /** Removes a lock that was left behind. The file is renamed first, which only one of several processes can. */
      const breakStale = Effect.gen(function* () {
        const { mtime } = yield* files.stat(lockFile)
        const age = (yield* Clock.currentTimeMillis) - Option.getOrElse(mtime, () => new Date(0)).getTime()
        if (age < staleMs) return
        const aside = yield* unique
        yield* files.rename(lockFile, aside)
        yield* files.remove(aside)
      }).pipe(Effect.catchIf(isReason("NotFound"), () => Effect.void))

      const lock: Effect.Effect<void, PlatformError.PlatformError> = takeLock.pipe(
        Effect.tapError((error) => (isReason("AlreadyExists")(error) ? breakStale : Effect.void)),
        Effect.retry({ while: isReason("AlreadyExists"), schedule: Schedule.spaced("50 millis") })
      )

      return SessionFile.of({
        load: Effect.gen(function* () {
          if (!(yield* files.exists(file)))
            return yield* new CliFailure({ message: "nobody is signed in: run `login` first" })
          return yield* decode(yield* files.readFileString(file))
        }).pipe(failed(`cannot read ${file}; sign in again`)),
        save: (saved) =>
          Effect.gen(function* () {
            yield* files.makeDirectory(folder, { recursive: true, mode: 0o700 })
            // The rename makes sure that the file is never half written, and the mode that others cannot read it.
            const draft = yield* unique
            yield* files.writeFileString(draft, yield* encode(saved), { mode: 0o600, flag: "wx" })
            yield* files.rename(draft, file)
          }).pipe(failed(`cannot write ${file}`)),
        forget: files.remove(file, { force: true }).pipe(failed(`cannot remove ${file}`)),
        lock: lock.pipe(
          Effect.as(Effect.ignore(files.remove(lockFile, { force: true }))),
          failed(`cannot lock ${file}`)
        )
      })
    })
  )
}
