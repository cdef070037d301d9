import type { ConversationId, UserId } from "../domain/Ids.ts"
import type { Published } from "../services/PubSub.ts"

/**
 * Events as one payload: a line with the format's version, then a line for each event, its fields between tabs and
 * `json` last, as it is. No JSON text holds a raw tab or line feed, so nothing needs an escape.
 */
const version = "2"

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const isId = <Id extends ConversationId | UserId>(text: string): text is Id => uuid.test(text)

export const encodeEvents = (events: ReadonlyArray<Published>): Buffer => {
  let text = version
  for (const { conversationId, event, except, json, refers, seq } of events) {
    text += `\n${event}\t${conversationId ?? ""}\t${seq ?? ""}\t${except ?? ""}\t${refers ?? ""}\t${json}`
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
  const refers = line.slice(afterExcept + 1, afterRefers)
  const json = line.slice(afterRefers + 1)
  if (conversationId !== "" && !isId<ConversationId>(conversationId)) return undefined
  if (except !== "" && !isId<UserId>(except)) return undefined
  if (!/^\d{0,15}$/.test(seq) || !/^\d{0,15}$/.test(refers) || !json.startsWith("{") || !json.endsWith("}"))
    return undefined
  return {
    event: line.slice(0, afterEvent),
    conversationId: conversationId === "" ? null : conversationId,
    seq: seq === "" ? null : Number(seq),
    except: except === "" ? null : except,
    refers: refers === "" ? null : Number(refers),
    json
  }
}

/** The events of a payload, or undefined when any of it is not of this format. */
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
