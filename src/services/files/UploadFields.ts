import { Effect, Schema } from "effect"
import { Waveform } from "../../domain/Attachment.ts"
import { type InvalidRequest, invalid } from "../../domain/Problem.ts"

/** At most so many characters of metadata are kept. */
const maxMetadata = 4096

/** The values in the header `Upload-Metadata` of tus by their keys; undefined for a header that is not valid. */
export const metadataIn = (metadata: string): ReadonlyMap<string, string> | undefined => {
  if (metadata.length > maxMetadata) return undefined
  const values = new Map<string, string>()
  for (const pair of metadata === "" ? [] : metadata.split(",")) {
    const [, key, value = ""] = /^ *([!-+\--~]+)(?: +([A-Za-z0-9+/]*={0,2}))? *$/.exec(pair) ?? []
    if (key === undefined) return undefined
    values.set(key, Buffer.from(value, "base64").toString())
  }
  return values
}

const decodeWaveform = Schema.decodeEffect(Schema.fromJsonString(Waveform))

/** The field `waveform` of a form or of metadata, which is JSON. */
export const waveformOf = (
  fields: ReadonlyMap<string, string> | undefined
): Effect.Effect<Waveform | undefined, InvalidRequest> => {
  const text = fields?.get("waveform")
  if (text === undefined) return Effect.succeed(undefined)
  return Effect.mapError(decodeWaveform(text), () =>
    invalid("waveform", "must be 64 whole numbers from 0 to 100, as JSON")
  )
}
