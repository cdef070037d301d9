/** A change of one key costs a copy of this part of the map. */
const parts = 64

const partOf = (key: string) => {
  let hash = 0
  for (let at = 0; at < key.length; at++) hash = (hash * 31 + key.charCodeAt(at)) | 0
  return (hash >>> 0) % parts
}

/** What has changed between two maps: the entries to put, and the keys that are gone. */
export interface MapChange<Key, Value> {
  readonly put: ReadonlyArray<readonly [Key, Value]>
  readonly gone: ReadonlyArray<Key>
}

/**
 * A map that never changes. Another one that differs in a few keys shares the rest with it, so that making it, and finding
 * the difference, costs little however large the map is. The order of the entries means nothing.
 */
export class SharedMap<Key extends string, Value> implements ReadonlyMap<Key, Value> {
  readonly size: number
  private readonly parts: ReadonlyArray<ReadonlyMap<Key, Value>>

  private constructor(parts: ReadonlyArray<ReadonlyMap<Key, Value>>, size: number) {
    this.parts = parts
    this.size = size
  }

  /** The map without entries. */
  static empty<Key extends string, Value>(): SharedMap<Key, Value> {
    const none: ReadonlyMap<Key, Value> = new Map()
    return new SharedMap(new Array(parts).fill(none), 0)
  }

  /** The map after a change; this one, when the change changes nothing. */
  change({ gone, put }: Partial<MapChange<Key, Value>>): SharedMap<Key, Value> {
    const changed = new Map<number, Map<Key, Value>>()
    const copyOf = (part: number) => {
      const copy = changed.get(part) ?? new Map(this.parts[part])
      changed.set(part, copy)
      return copy
    }
    for (const [key, value] of put ?? []) {
      const part = partOf(key)
      const known = changed.get(part) ?? this.parts[part]
      if (known?.get(key) !== value || !known.has(key)) copyOf(part).set(key, value)
    }
    for (const key of gone ?? []) {
      const part = partOf(key)
      if ((changed.get(part) ?? this.parts[part])?.has(key) === true) copyOf(part).delete(key)
    }
    if (changed.size === 0) return this
    let size = this.size
    for (const [part, copy] of changed) size += copy.size - (this.parts[part]?.size ?? 0)
    return new SharedMap(
      this.parts.map((known, part) => changed.get(part) ?? known),
      size
    )
  }

  /** What must be put into `before`, and removed from it, to make this map. */
  since(before: SharedMap<Key, Value>): MapChange<Key, Value> {
    const put: Array<readonly [Key, Value]> = []
    const gone: Array<Key> = []
    for (const [at, part] of this.parts.entries()) {
      const known = before.parts[at]
      if (known === undefined || known === part) continue
      for (const entry of part) if (known.get(entry[0]) !== entry[1] || !known.has(entry[0])) put.push(entry)
      for (const key of known.keys()) if (!part.has(key)) gone.push(key)
    }
    return { put, gone }
  }

  get(key: Key): Value | undefined {
    return this.parts[partOf(key)]?.get(key)
  }

  has(key: Key): boolean {
    return this.parts[partOf(key)]?.has(key) === true
  }

  forEach(call: (value: Value, key: Key, map: ReadonlyMap<Key, Value>) => void): void {
    for (const [key, value] of this) call(value, key, this)
  }

  *entries(): MapIterator<[Key, Value]> {
    for (const part of this.parts) yield* part
  }

  *keys(): MapIterator<Key> {
    for (const part of this.parts) yield* part.keys()
  }

  *values(): MapIterator<Value> {
    for (const part of this.parts) yield* part.values()
  }

  [Symbol.iterator](): MapIterator<[Key, Value]> {
    return this.entries()
  }
}
