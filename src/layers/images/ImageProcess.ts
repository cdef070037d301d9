import { type ChildProcess, fork } from "node:child_process"
import { extname, join } from "node:path"
import { Data, Effect, FileSystem, Layer, Schema, Stream } from "effect"
import { thumbnailSizes } from "../../domain/Attachment.ts"
import { avatarSizes } from "../../domain/Avatar.ts"
import type { UserId } from "../../domain/Ids.ts"
import { Unavailable } from "../../domain/Problem.ts"
import { Images, NoPicture, type Picture } from "../../services/files/Images.ts"
import { FairQueue } from "../../services/platform/load/FairQueue.ts"
import { decoderStarts } from "../../services/platform/MetricDefinitions.ts"
import { Metrics } from "../../services/platform/Metrics.ts"

/** The program next to this file, which is JavaScript too in the package. */
const program = join(import.meta.dirname, `imageWorker${extname(import.meta.filename)}`)

/** How many files may wait for the process, in total and of one user. Each is in a directory of its own until then. */
const waiting = { all: 100, perUser: 16 }

/** How long a picture may take, before the process is killed. */
const patience = "15 seconds"

const Answer = Schema.Union([
  Schema.Struct({ failure: Schema.String }),
  Schema.Struct({ durationMs: Schema.NullOr(Schema.Int) }),
  Schema.Struct({
    squares: Schema.Array(Schema.Struct({ size: Schema.Literals(avatarSizes), bytes: Schema.Int }))
  }),
  Schema.Struct({
    picture: Schema.Struct({
      width: Schema.Int,
      height: Schema.Int,
      placeholder: Schema.String,
      thumbnails: Schema.Array(
        Schema.Struct({
          size: Schema.Literals(thumbnailSizes),
          width: Schema.Int,
          height: Schema.Int,
          bytes: Schema.Int
        })
      )
    })
  })
])
const decodeAnswer = Schema.decodeUnknownEffect(Answer)

const crashed = new NoPicture({ reason: "the decoder has crashed" })
const unavailable = new Unavailable({ detail: "Pictures cannot be decoded right now" })

/** The process ended before it had looked at the picture. */
class NotBegun extends Data.TaggedError("NotBegun") {}

/** Sends a job to the process, and waits for its answer or its end. Kills the process when nobody waits any more. */
const ask = (child: ChildProcess, job: object) =>
  Effect.callback<unknown, NoPicture | NotBegun>((resume) => {
    let hasBegun = false
    const forget = () => {
      child.off("message", onMessage)
      child.off("exit", onExit)
    }
    const onMessage = (answer: unknown) => {
      if (answer === "begun") {
        hasBegun = true
        return
      }
      forget()
      resume(Effect.succeed(answer))
    }
    const onExit = () => {
      forget()
      resume(Effect.fail(hasBegun ? crashed : new NotBegun()))
    }
    child.on("message", onMessage)
    child.on("exit", onExit)
    child.send(job, (error) => {
      if (error !== null) onExit()
    })
    return Effect.sync(() => {
      forget()
      child.kill("SIGKILL")
    })
  })

/**
 * Makes the function that gives jobs to one process, one after the other, and the users take turns. It is started with the
 * first job, and again after it has crashed or was killed.
 */
const makeDecode = Effect.gen(function* () {
  const turns = new FairQueue({
    atATime: 1,
    atATimePerKey: 1,
    waiting: waiting.all,
    waitingPerKey: waiting.perUser,
    detail: "Too many files wait to be looked at"
  })
  let current: ChildProcess | undefined
  const started = (yield* Metrics).counter(decoderStarts)
  const start = () => {
    started()
    current = fork(program, { env: {}, execArgv: ["--max-old-space-size=256"], stdio: "ignore" })
    // An error is followed by the end of the process.
    current.on("error", () => {})
    return current
  }
  const living = () => {
    if (current === undefined) return start()
    // One that was killed has not ended yet.
    const { connected, exitCode, killed, signalCode } = current
    return connected && !killed && exitCode === null && signalCode === null ? current : start()
  }
  yield* Effect.addFinalizer(() => Effect.sync(() => current?.kill("SIGKILL")))

  return (userId: UserId, job: object) =>
    Effect.suspend(() => ask(living(), job)).pipe(
      // It may have ended while it was idle. One that ends again has a fault of its own.
      Effect.catchTag("NotBegun", () => Effect.suspend(() => ask(start(), job))),
      Effect.catchTag("NotBegun", () =>
        Effect.andThen(
          Effect.logError("the decoder of pictures does not start: is sharp installed for this system?"),
          Effect.fail(unavailable)
        )
      ),
      Effect.timeoutOrElse({
        duration: patience,
        orElse: () => Effect.fail(new NoPicture({ reason: "it takes too long" }))
      }),
      Effect.tapError((error) =>
        error._tag === "NoPicture"
          ? Effect.logWarning("a picture was not decoded", { reason: error.reason })
          : Effect.void
      ),
      (work) => turns.run(userId, work),
      Effect.flatMap((answer) => Effect.orDie(decodeAnswer(answer)))
    )
})

/** Reads files in one process of its own, with sharp and music-metadata. It knows no settings and no secrets. */
export const layer = Layer.effect(
  Images,
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const decode = yield* makeDecode

    /** Keeps a picture in a directory of its own until the scope closes, and returns what the process makes of it. */
    const process = Effect.fnUntraced(function* <E>(
      userId: UserId,
      content: Stream.Stream<Uint8Array, E>,
      job: object
    ) {
      const directory = yield* fs
        .makeTempDirectoryScoped({ prefix: "chat-picture-" })
        .pipe(Effect.catch(() => Effect.fail(unavailable)))
      const file = `${directory}/original`
      const opened = yield* fs
        .open(file, { flag: "wx", mode: 0o600 })
        .pipe(Effect.catch(() => Effect.fail(unavailable)))
      yield* Stream.runForEach(content, (chunk) => Effect.catch(opened.writeAll(chunk), () => Effect.fail(unavailable)))
      const answer = yield* decode(userId, { ...job, file, directory })
      if ("failure" in answer) return yield* new NoPicture({ reason: answer.failure })
      const withContent = <Made extends { readonly size: number }>(made: Made) => ({
        ...made,
        content: Stream.catch(fs.stream(`${directory}/${made.size}`), () => Stream.fail(unavailable))
      })
      return { answer, withContent }
    })

    return Images.of({
      examine: Effect.fnUntraced(function* (userId, content) {
        const { answer, withContent } = yield* process(userId, content, { sizes: thumbnailSizes })
        if (!("picture" in answer)) return yield* Effect.die("the decoder has answered something else")
        const { thumbnails, ...rest } = answer.picture
        const picture: Picture = { ...rest, thumbnails: thumbnails.map(withContent) }
        return picture
      }),
      duration: Effect.fnUntraced(
        function* (userId, content) {
          const { answer } = yield* process(userId, content, { duration: true })
          return "durationMs" in answer ? (answer.durationMs ?? undefined) : undefined
        },
        Effect.catch((error) => (error instanceof NoPicture ? Effect.succeed(undefined) : Effect.fail(error)))
      ),
      squares: Effect.fnUntraced(function* (userId, content) {
        const { answer, withContent } = yield* process(userId, content, { squares: avatarSizes })
        if (!("squares" in answer)) return yield* Effect.die("the decoder has answered something else")
        return answer.squares.map(withContent)
      })
    })
  })
)
