import { Effect, Schema } from "effect"
import type { Attachment } from "../../domain/Attachment.ts"
import type { AttachmentId } from "../../domain/Ids.ts"
import {
  type MessageType,
  maxEdits,
  maxReactions,
  maxReactionsOfMember,
  type NewMessage,
  type Revision
} from "../../domain/Message.ts"
import { hasPayload, isPayloadOf } from "../../domain/Payload.ts"
import { Conflict, Forbidden, type InvalidRequest, invalid } from "../../domain/Problem.ts"
import { blocked, noMessage } from "../../domain/Refusals.ts"
import { isVisible, longerThan } from "../../domain/Text.ts"
import type { HistoryPlace } from "../log/Entry.ts"
import { cursorOf } from "../platform/Paging.ts"
import type { SettingsShape } from "../platform/Settings.ts"

/** The containers of video that browsers also record sound in. */
const containers = ["video/webm", "video/mp4"]

/**
 * The types of messages that consist of their attachments, each with the content that all of them must have: in text
 * messages and files, any.
 */
const attached = new Map<MessageType, (contentType: string) => boolean>([
  ["image", (contentType) => contentType.startsWith("image/")],
  ["video", (contentType) => contentType.startsWith("video/")],
  ["audio", (contentType) => contentType.startsWith("audio/") || containers.includes(contentType)],
  ["file", () => true]
])

/** Says what is wrong with the attachments of a message, by their content. */
export const wrongContent = (type: MessageType, attachments: ReadonlyArray<Attachment>): InvalidRequest | undefined =>
  attachments.every(({ contentType }) => attached.get(type)?.(contentType) ?? true)
    ? undefined
    : invalid("attachments", `must all be of the type of the message, which is ${type}`)

const wrongAttachments = (type: MessageType, ids: ReadonlyArray<AttachmentId>): InvalidRequest | undefined => {
  if (ids.length === 0) return attached.has(type) ? invalid("attachments", `must hold the ${type}`) : undefined
  if (new Set(ids).size < ids.length) return invalid("attachments", "must not have one twice")
  return attached.has(type) || type === "text" ? undefined : invalid("attachments", `must be absent for type ${type}`)
}

/**
 * Says what is wrong with the content of a message, independent of its sender and its conversation. `byProgram` says that a
 * program sends it in the name of its sender.
 */
export const wrongWith = (
  { attachments = [], body, payload = null, silent = false, type = "text" }: NewMessage,
  limits: SettingsShape["limits"],
  byProgram = false
): InvalidRequest | undefined => {
  if (type === "system" && !byProgram) return invalid("type", "must not be system: only programs write those")
  if (silent && type !== "system") return invalid("silent", "must be false: only messages of type system can be silent")
  if (hasPayload(type) ? payload === null || !isPayloadOf(type, payload) : payload !== null) {
    return invalid("payload", hasPayload(type) ? `must be that of type ${type}` : `must be absent for type ${type}`)
  }
  return (
    wrongAttachments(type, attachments) ??
    tooLong(body, limits) ??
    ((type === "text" || type === "system") && isBlank(body) ? blank : undefined)
  )
}

/** Whether a body has no visible text. Only a message with a payload may have such a body. */
export const isBlank = (body: string) => !isVisible(body)
const blank = invalid("body", "must not be empty")

/** The refusal of a body that is longer than the setting allows; undefined when it is not. */
export const tooLong = (body: string, limits: SettingsShape["limits"]): InvalidRequest | undefined =>
  longerThan(body, limits.messageLength)
    ? invalid("body", `must have at most ${limits.messageLength} characters`)
    : undefined

/** Which page of a conversation's history is wanted. At most one of the three bounds is given; each is a seq. */
export interface HistoryQuery {
  readonly before?: number | undefined
  readonly after?: number | undefined
  readonly around?: number | undefined
  readonly limit: number
}

/** The page that a query asks for: the newest one unless a bound is given. Fails when several are. */
export const toHistoryPlace = ({
  after,
  around,
  before
}: HistoryQuery): Effect.Effect<HistoryPlace, InvalidRequest> => {
  const places: Array<HistoryPlace> = []
  if (before !== undefined) places.push({ before })
  if (after !== undefined) places.push({ after })
  if (around !== undefined) places.push({ around })
  return places.length > 1
    ? Effect.fail(invalid("before", "must not be combined with after or around"))
    : Effect.succeed(places[0] ?? { newest: true })
}

/** The problems that the outcomes in migrations/functions/message_changes.sql stand for. */
export const messageProblems = {
  "no-message": noMessage,
  forbidden: new Forbidden({ detail: "The message is not yours, and your role does not allow that" }),
  "too-late": new Forbidden({ detail: "The message is too old to be edited" }),
  blocked,
  deleted: new Conflict({ code: "message-deleted", detail: "The message has been deleted" }),
  "too-many-reactions": new Conflict({
    code: "too-many-reactions",
    detail: `A message can have at most ${maxReactions} different reactions, and ${maxReactionsOfMember} of one member`
  }),
  "too-many-edits": new Conflict({
    code: "too-many-edits",
    detail: `A message can be edited at most ${maxEdits} times`
  })
}

/** The problems that the outcomes of the SQL function edit_body stand for. */
export const editProblems = { ...messageProblems, blank }

/** A row of `message_revisions`, or the current body of a message in the same form. */
export interface RevisionRow {
  readonly revision: number
  readonly body: string
  readonly createdAt: Date
}

/** The revision as users see it. */
export const toRevision = ({ body, createdAt, revision }: RevisionRow): Revision => ({
  revision,
  body,
  createdAt: createdAt.toISOString()
})

/** The cursor of a list of revisions holds the number of the last revision on the page. */
export const revisionCursor = cursorOf(
  Schema.Struct({ revision: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 - 1 })) })
)
