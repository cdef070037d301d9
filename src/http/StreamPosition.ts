import { ConversationId } from "../domain/Ids.ts"
import type { Vector } from "../services/EventCursors.ts"

/**
 * What one stream has been sent, as the id of its last event: `base.delta`, the delta being `index:seq` or
 * `conversationId:seq` in base 36 for each conversation that went on since the base was stored, `-` for one left, and
 * `*:seq` for the user's own state.
 */
export class Position {
  private base: string
  private index: ReadonlyMap<ConversationId, string>
  private delta = new Map<ConversationId, string>()
  private length = 0
  readonly seqs: Map<ConversationId, number>
  private userSeq: number
  private baseUserSeq: number

  constructor(base: string, vector: Vector) {
    this.base = base
    this.index = new Map(vector.seqs.map(([id], at) => [id, at.toString(36)]))
    this.seqs = new Map(vector.seqs)
    this.userSeq = vector.userSeq
    this.baseUserSeq = vector.userSeq
  }

  get deltaLength(): number {
    return this.length
  }

  set(id: ConversationId, seq: number | undefined): void {
    if (seq === undefined) this.seqs.delete(id)
    else this.seqs.set(id, seq)
    const entry = `${this.index.get(id) ?? id}:${seq?.toString(36) ?? "-"}`
    this.length += entry.length + 1 - ((this.delta.get(id)?.length ?? -1) + 1)
    this.delta.set(id, entry)
  }

  setUserSeq(seq: number): void {
    this.userSeq = seq
  }

  /** Goes on from a base that holds `vector`; what came after it was taken stays in the delta. */
  rebase(base: string, vector: Vector): void {
    const now = new Map(this.seqs)
    const before = new Map(vector.seqs)
    this.base = base
    this.baseUserSeq = vector.userSeq
    this.index = new Map(vector.seqs.map(([id], at) => [id, at.toString(36)]))
    this.delta = new Map()
    this.length = 0
    for (const [id, seq] of now) if (before.get(id) !== seq) this.set(id, seq)
    for (const id of before.keys()) if (!now.has(id)) this.set(id, undefined)
  }

  get vector(): Vector {
    return { seqs: [...this.seqs], userSeq: this.userSeq }
  }

  get id(): string {
    const own = this.userSeq === this.baseUserSeq ? [] : [`*:${this.userSeq.toString(36)}`]
    return `${this.base}.${[...own, ...this.delta.values()].join(",")}`
  }
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const entryShape = /^([0-9a-z-]{1,36}|\*):(-|[0-9a-z]{1,11})$/

/**
 * What an id of a stream says, given how to find its base; undefined when it is no such id. `apply` answers undefined
 * when the delta does not fit the base.
 */
export const parsePosition = (
  id: string
): { readonly base: string; readonly apply: (vector: Vector) => Vector | undefined } | undefined => {
  const [base = "", delta = "", ...more] = id.split(".")
  const entries = delta === "" ? [] : delta.split(",")
  if (!uuid.test(base) || more.length > 0 || !entries.every((entry) => entryShape.test(entry))) return undefined
  return {
    base,
    apply: ({ seqs, ...vector }) => {
      let { userSeq } = vector
      const result = new Map(seqs)
      for (const entry of entries) {
        const [key = "", value = ""] = entry.split(":")
        const seq = Number.parseInt(value, 36)
        if (value !== "-" && !Number.isSafeInteger(seq)) return undefined
        const conversationId = uuid.test(key) ? ConversationId.make(key) : seqs[Number.parseInt(key, 36)]?.[0]
        if (key === "*") userSeq = seq
        else if (conversationId === undefined) return undefined
        else if (value === "-") result.delete(conversationId)
        else result.set(conversationId, seq)
      }
      return { seqs: [...result], userSeq }
    }
  }
}
