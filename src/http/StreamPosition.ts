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

/** What an id of a stream says, given how to find its base. */
export const parsePosition = (id: string): { readonly base: string; readonly apply: (vector: Vector) => Vector } => {
  const [base = "", delta = ""] = id.split(".", 2)
  return {
    base,
    apply: ({ seqs, ...vector }) => {
      let { userSeq } = vector
      const result = new Map(seqs)
      for (const entry of delta.split(",")) {
        const [key = "", seq = ""] = entry.split(":", 2)
        if (key === "*") {
          userSeq = Number.parseInt(seq, 36)
          continue
        }
        const conversationId = key.length > 8 ? ConversationId.make(key) : seqs[Number.parseInt(key, 36)]?.[0]
        if (conversationId === undefined) continue
        if (seq === "-") result.delete(conversationId)
        else result.set(conversationId, Number.parseInt(seq, 36))
      }
      return { seqs: [...result], userSeq }
    }
  }
}
