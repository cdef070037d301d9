import { randomUUID } from "node:crypto"
import { Effect, FileSystem, Layer, Path, type PlatformError, Stream } from "effect"
import type { Unavailable } from "../../domain/Problem.ts"
import { filesUnavailable } from "../../domain/Refusals.ts"
import { Blobs, NoBlob } from "../../services/files/Blobs.ts"
import { Settings } from "../../services/platform/Settings.ts"

/** Logs why the disk refused, and answers that it does not work. */
const unavailable = (error: PlatformError.PlatformError) =>
  Effect.andThen(
    Effect.logError("the directory of files cannot be used", { reason: error.reason.message }),
    Effect.fail(filesUnavailable)
  )

const isMissing = ({ reason }: PlatformError.PlatformError) => reason._tag === "NotFound"

/** How much of a file is read at a time. */
const chunkSize = 256 * 1024

/**
 * The id of a directory, in a file that it is given when it is first used. Nodes that share the directory read the same.
 * A directory that cannot be used has a new id each time.
 */
const idOf = Effect.fnUntraced(function* (directory: string) {
  const fs = yield* FileSystem.FileSystem
  const file = (yield* Path.Path).join(directory, "id")
  const id = randomUUID()
  const draft = `${file}.${id}`
  return yield* fs.makeDirectory(directory, { recursive: true, mode: 0o700 }).pipe(
    Effect.andThen(fs.writeFileString(draft, id)),
    // A hard link never replaces a file and is never half written, so of two nodes that start both have the first one's id.
    Effect.andThen(Effect.ignore(fs.link(draft, file))),
    Effect.andThen(fs.remove(draft)),
    Effect.andThen(fs.readFileString(file)),
    Effect.orElseSucceed(() => id)
  )
})

/** Blobs as files below `data.dir`. A file gets its name when all of it is on the disk, so no half of one is ever read. */
export const layer = Layer.effect(
  Blobs,
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const directory = path.resolve((yield* Settings).data.dir, "files")
    const id = yield* idOf(directory)

    /** No folder gets so many files that looking into it takes long. */
    const folderOf = (key: string) => path.join(directory, key.slice(0, 2))
    const fileOf = (key: string) => path.join(folderOf(key), key)
    /** What a node that is killed while it writes leaves; it is forgotten together with the file. */
    const draftOf = (key: string) => `${fileOf(key)}.draft`

    const write: Blobs["Service"]["write"] = <E>(key: string, content: Stream.Stream<Uint8Array, E>) =>
      Effect.gen(function* () {
        const draft = draftOf(key)
        yield* Effect.catch(fs.makeDirectory(folderOf(key), { recursive: true, mode: 0o700 }), unavailable)
        yield* Effect.addFinalizer(() => Effect.ignore(fs.remove(draft, { force: true })))
        const file = yield* Effect.catch(fs.open(draft, { flag: "w", mode: 0o600 }), unavailable)
        yield* Stream.runForEach(content, (chunk) => Effect.catch(file.writeAll(chunk), unavailable))
        yield* Effect.catch(Effect.andThen(file.sync, fs.rename(draft, fileOf(key))), unavailable)
        // The name is durable when its folder is.
        const folder = yield* Effect.catch(fs.open(folderOf(key), { flag: "r" }), unavailable)
        yield* Effect.catch(folder.sync, unavailable)
      }).pipe(Effect.scoped)

    return Blobs.of({
      place: `disk ${id}`,
      write,
      read: (key, range) =>
        fs.access(fileOf(key)).pipe(
          Effect.catch(
            (error): Effect.Effect<never, NoBlob | Unavailable> =>
              isMissing(error) ? Effect.fail(new NoBlob({ key })) : unavailable(error)
          ),
          Effect.as(
            fs
              .stream(fileOf(key), {
                chunkSize,
                ...(range && { offset: range.start, bytesToRead: range.end - range.start + 1 })
              })
              .pipe(Stream.catch((error) => Stream.fromEffect(unavailable(error))))
          )
        ),
      remove: (keys) =>
        Effect.forEach(
          keys.flatMap((key) => [draftOf(key), fileOf(key)]),
          (file) => Effect.catch(fs.remove(file, { force: true }), unavailable),
          { discard: true }
        ),
      probe: Effect.mapError(fs.access(directory, { writable: true }), ({ reason }) => ({
        message: `the directory ${directory} cannot be written to (${reason._tag})`
      }))
    })
  })
)
