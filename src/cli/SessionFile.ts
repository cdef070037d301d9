import { Config, Context, Effect, FileSystem, Layer, Option, Path, Schema } from "effect"
import { Tokens } from "../domain/Session.ts"
import { CliFailure } from "./CliFailure.ts"

/** Where the person is signed in, and as whom. */
const Saved = Schema.Struct({ url: Schema.String, tokens: Tokens })
export type Saved = typeof Saved.Type

const SavedJson = Schema.fromJsonString(Saved)
const decode = Schema.decodeUnknownEffect(SavedJson)
const encode = Schema.encodeEffect(SavedJson)

/** The session of the person at this machine, in a file that nobody else can read. */
export class SessionFile extends Context.Service<
  SessionFile,
  {
    /** Fails when nobody is signed in. */
    readonly load: Effect.Effect<Saved, CliFailure>
    readonly save: (saved: Saved) => Effect.Effect<void, CliFailure>
    readonly forget: Effect.Effect<void, CliFailure>
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
      const failed = (what: string) =>
        Effect.mapError(
          (cause: { readonly message: string }) => new CliFailure({ message: `${what}: ${cause.message}` })
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
            // Never half a file, and never one that others can read.
            yield* files.writeFileString(`${file}.new`, yield* encode(saved), { mode: 0o600 })
            yield* files.rename(`${file}.new`, file)
          }).pipe(failed(`cannot write ${file}`)),
        forget: files.remove(file, { force: true }).pipe(failed(`cannot remove ${file}`))
      })
    })
  )
}
