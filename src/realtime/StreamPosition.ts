import { ConversationId, isUuid, maxCursors } from "../domain/Ids.ts"
import type { Vector } from "../services/log/StreamPositions.ts"

/**
 * What one stream has been sent, as the id of its last event: `base.delta`. The delta has an entry for each
 * conversation that changed since the base was stored: `index:seq` or `conversationId:seq` in base 36, with `-` in
 * place of the `seq` for a conversation that was left. `*:seq` is the user's own state.
 */
export class StreamPosition {
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

  /** The length of the delta in characters. */
  get deltaLength(): number {
    return this.length
  }

  /** Records the `seq` that the stream has of a conversation; undefined for one that was left. */
  set(id: ConversationId, seq: number | undefined): void {
    if (seq === undefined) this.seqs.delete(id)
    else this.seqs.set(id, seq)
    const entry = `${this.index.get(id) ?? id}:${seq?.toString(36) ?? "-"}`
    const before = this.delta.get(id)
    // Each entry counts with the comma behind it.
    if (before !== undefined) this.length -= before.length + 1
    this.length += entry.length + 1
    this.delta.set(id, entry)
  }

  /** Records the user seq that the stream starts with. */
  setUserSeq(seq: number): void {
    this.userSeq = seq
  }

  /** Continues on a base that holds `vector`; what changed since that vector was taken stays in the delta. */
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

  /** The whole position, to be stored as a base. */
  get vector(): Vector {
    return { seqs: [...this.seqs], userSeq: this.userSeq }
  }

  /** The id from which a stream resumes. */
  get id(): string {
    const own = this.userSeq === this.baseUserSeq ? [] : [`*:${this.userSeq.toString(36)}`]
    return `${this.base}.${[...own, ...this.delta.values()].join(",")}`
  }
}

const entryShape = /^([0-9a-z-]{1,36}:(-|[0-9a-z]{1,11})|\*:[0-9a-z]{1,11})$/

/**
 * Reads the id of an event: which base to load, and the function that applies the delta to it. Undefined when the text
 * is not such an id; `apply` returns undefined when the delta does not fit the base, or adds conversations beyond those of
 * which a client may say what it has: the result is stored as the next base, and a client could add more to that.
 */
export const parsePosition = (
  id: string
): { readonly base: string; readonly apply: (vector: Vector) => Vector | undefined } | undefined => {
  const [base = "", delta = "", ...more] = id.split(".")
  const entries = delta === "" ? [] : delta.split(",")
  if (!isUuid(base) || more.length > 0 || !entries.every((entry) => entryShape.test(entry))) return undefined
  return {
    base,
    apply: ({ seqs, ...vector }) => {
      let { userSeq } = vector
      const result = new Map(seqs)
      for (const entry of entries) {
        const [key = "", value = ""] = entry.split(":")
        const seq = Number.parseInt(value, 36)
        if (value !== "-" && !Number.isSafeInteger(seq)) return undefined
        const conversationId = isUuid(key) ? ConversationId.make(key) : seqs[Number.parseInt(key, 36)]?.[0]
        if (key === "*") userSeq = seq
        else if (conversationId === undefined) return undefined
        else if (value === "-") result.delete(conversationId)
        else result.set(conversationId, seq)
      }
      return result.size > Math.max(maxCursors, seqs.length) ? undefined : { seqs: [...result], userSeq }
    }
  }
}
