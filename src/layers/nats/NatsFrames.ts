import { type ConversationId, isUuid, type UserId } from "../../domain/Ids.ts"
import type { Published } from "../../services/bus/Subjects.ts"

/**
 * The version of the format in which nodes send each other events. A payload has a line with the version and then a line
 * for each event: its fields separated by tabs, with `json` last and unchanged. JSON text contains no raw tabs or line
 * feeds, so nothing has to be escaped.
 */
const version = "2"

const isId = <Id extends ConversationId | UserId>(text: string): text is Id => isUuid(text)

/** Encodes events as one payload. */
export const encodeEvents = (events: ReadonlyArray<Published>): Buffer => {
  let text = version
  for (const { conversationId, event, except, json, refersTo, seq } of events) {
    text += `\n${event}\t${conversationId ?? ""}\t${seq ?? ""}\t${except ?? ""}\t${refersTo ?? ""}\t${json}`
  }
  return Buffer.from(text)
}

const decodeLine = (line: string): Published | undefined => {
  const afterEvent = line.indexOf("\t")
  const afterConversation = line.indexOf("\t", afterEvent + 1)
  const afterSeq = line.indexOf("\t", afterConversation + 1)
  const afterExcept = line.indexOf("\t", afterSeq + 1)
  const afterRefers = line.indexOf("\t", afterExcept + 1)
  if (afterEvent < 1 || afterConversation < 0 || afterSeq < 0 || afterExcept < 0 || afterRefers < 0) return undefined
  const conversationId = line.slice(afterEvent + 1, afterConversation)
  const seq = line.slice(afterConversation + 1, afterSeq)
  const except = line.slice(afterSeq + 1, afterExcept)
  const refersTo = line.slice(afterExcept + 1, afterRefers)
  const json = line.slice(afterRefers + 1)
  if (conversationId !== "" && !isId<ConversationId>(conversationId)) return undefined
  if (except !== "" && !isId<UserId>(except)) return undefined
  if (!/^\d{0,15}$/.test(seq) || !/^\d{0,15}$/.test(refersTo) || !json.startsWith("{") || !json.endsWith("}"))
    return undefined
  return {
    event: line.slice(0, afterEvent),
    conversationId: conversationId === "" ? null : conversationId,
    seq: seq === "" ? null : Number(seq),
    except: except === "" ? null : except,
    refersTo: refersTo === "" ? null : Number(refersTo),
    json
  }
}

/** Decodes a payload, or returns undefined if any part of it does not have this format. */
export const decodeEvents = (payload: Uint8Array): ReadonlyArray<Published> | undefined => {
  const [first, ...lines] = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString().split("\n")
  if (first !== version || lines.length === 0) return undefined
  const events: Array<Published> = []
  for (const line of lines) {
    const event = decodeLine(line)
    if (event === undefined) return undefined
    events.push(event)
  }
  return events
}
