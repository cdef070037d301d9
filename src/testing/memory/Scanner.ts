import { Effect, Layer, Stream } from "effect"
import { Scanner } from "../../services/files/Scanner.ts"

/** A scanner that finds these bytes, and gives them this name. */
export const layerMemory = ({ bytes, name }: { readonly bytes: Buffer; readonly name: string }) =>
  Layer.succeed(Scanner, {
    scan: (content) =>
      Effect.map(Stream.runCollect(content), (chunks) => (Buffer.concat(chunks).includes(bytes) ? name : undefined))
  })
