import { Effect, Layer } from "effect"
import { Nodes } from "../../services/bus/Nodes.ts"
import { Blobs } from "../../services/files/Blobs.ts"
import { every } from "../../services/platform/Background.ts"
import { FilePlace } from "../../services/platform/FilePlace.ts"
import { Readiness } from "../../services/platform/readiness/Readiness.ts"
import { Settings } from "../../services/platform/Settings.ts"
import * as DiskBlobs from "./DiskBlobs.ts"
import * as S3Blobs from "./S3Blobs.ts"

/** The store of files of the settings, S3 or the local disk, and its place for the comparison with other nodes. */
export const layer = Layer.effect(
  FilePlace,
  Effect.map(Blobs, ({ place }) => place)
).pipe(
  Layer.provideMerge(
    Layer.unwrap(Effect.map(Settings, ({ s3 }) => (s3 === undefined ? DiskBlobs.layer : S3Blobs.layer(s3))))
  )
)

const apart = {
  message: "another live node keeps files elsewhere: share data.dir/files, or configure s3 on every node"
}

const patience = "10 seconds"

/** Reports the state of the store to `Readiness`. */
export const layerWatch = Layer.effectDiscard(
  Effect.gen(function* () {
    const blobs = yield* Blobs
    const nodes = yield* Nodes
    const readiness = yield* Readiness
    const { s3 } = yield* Settings
    let down: { readonly message: string } | undefined
    // Less often than other dependencies, and with more patience: a request to S3 costs money, and one to the disk waits for
    // the threads that also hash passwords.
    const look = blobs.probe.pipe(
      Effect.timeoutOrElse({
        duration: patience,
        orElse: () => Effect.fail({ message: `no answer within ${patience}` })
      }),
      Effect.match({
        onFailure: (reason) => {
          down = reason
        },
        onSuccess: () => {
          down = undefined
        }
      })
    )
    yield* every("5 seconds", "the look at the store of files", look)
    const state = Effect.suspend(() => {
      if (down !== undefined) return Effect.fail(down)
      return nodes.shareFiles() ? Effect.void : Effect.fail(apart)
    })
    yield* readiness.watch({
      name: "files",
      required: false,
      inProcess: s3 === undefined,
      probe: state,
      without: "files may not be stored or found"
    })
  })
)
