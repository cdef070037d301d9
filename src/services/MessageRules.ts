import { Effect } from "effect"
import type { NewMessage } from "../domain/Message.ts"
import { hasPayload, isPayloadOf } from "../domain/Payload.ts"
import { type InvalidRequest, invalid } from "../domain/Problem.ts"
import { longerThan } from "../domain/Text.ts"
import type { Place } from "./Log.ts"
import type { SettingsShape } from "./Settings.ts"

/** Types whose messages are about their attachments. */
const attached = new Set(["image", "video", "audio", "file"])

/** What is wrong with a message, whoever sends it and wherever. */
export const wrongWith = (
  { attachments = [], body, payload = null, type = "text" }: NewMessage,
  limits: SettingsShape["limits"]
): InvalidRequest | undefined => {
  if (type === "system") return invalid("type", "must not be system: the service alone writes those")
  if (attachments.length > 0) return invalid("attachments", "must be empty: attachments are not supported yet")
  if (attached.has(type)) return invalid("attachments", `must hold the ${type}: attachments are not supported yet`)
  if (hasPayload(type) ? payload === null || !isPayloadOf(type, payload) : payload !== null) {
    return invalid("payload", hasPayload(type) ? `must be that of type ${type}` : `must be absent for type ${type}`)
  }
  if (longerThan(body, limits.messageLength)) {
    return invalid("body", `must have at most ${limits.messageLength} characters`)
  }
  return type === "text" && body.trim() === "" ? invalid("body", "must not be empty") : undefined
}

/** Where in a conversation's history a page lies: at most one of the three, all of them seqs. */
export interface HistoryQuery {
  readonly before?: number | undefined
  readonly after?: number | undefined
  readonly around?: number | undefined
  readonly limit: number
}

/** The newest page unless one of them is given. */
export const placeOf = ({ after, around, before }: HistoryQuery): Effect.Effect<Place, InvalidRequest> => {
  const places: Array<Place> = []
  if (before !== undefined) places.push({ before })
  if (after !== undefined) places.push({ after })
  if (around !== undefined) places.push({ around })
  return places.length > 1
    ? Effect.fail(invalid("before", "must not be combined with after or around"))
    : Effect.succeed(places[0] ?? { newest: true })
}
