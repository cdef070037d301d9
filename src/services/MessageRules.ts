import { Effect, Schema } from "effect"
import type { NewMessage, Revision } from "../domain/Message.ts"
import { hasPayload, isPayloadOf } from "../domain/Payload.ts"
import { Conflict, Forbidden, type InvalidRequest, invalid } from "../domain/Problem.ts"
import { longerThan } from "../domain/Text.ts"
import { blocked } from "./ConversationRules.ts"
import type { Place } from "./Log.ts"
import { noMessage } from "./LogReader.ts"
import { cursorOf } from "./Paging.ts"
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
  return tooLong(body, limits) ?? (type === "text" && isBlank(body) ? blank : undefined)
}

/** Only what says more than its text may have none. */
export const isBlank = (body: string) => body.trim() === ""
const blank = invalid("body", "must not be empty")

export const tooLong = (body: string, limits: SettingsShape["limits"]): InvalidRequest | undefined =>
  longerThan(body, limits.messageLength)
    ? invalid("body", `must have at most ${limits.messageLength} characters`)
    : undefined

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

/** What the outcomes of changes of a message stand for (migration 0011). */
export const messageProblems = {
  "no-message": noMessage,
  forbidden: new Forbidden({ detail: "It is not yours, and your role does not allow it" }),
  "too-late": new Forbidden({ detail: "The time in which it could be edited is over" }),
  blocked,
  deleted: new Conflict({ code: "message-deleted", detail: "The message has been deleted" }),
  "too-many-reactions": new Conflict({
    code: "too-many-reactions",
    detail: "The message has as many different reactions as it may have"
  })
}

export const editProblems = { ...messageProblems, blank }

export interface RevisionRow {
  readonly revision: number
  readonly body: string
  readonly createdAt: Date
}

export const toRevision = ({ body, createdAt, revision }: RevisionRow): Revision => ({
  revision,
  body,
  createdAt: createdAt.toISOString()
})

/** A place among the revisions of a message. */
export const revisionCursor = cursorOf(
  Schema.Struct({ revision: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 - 1 })) })
)
