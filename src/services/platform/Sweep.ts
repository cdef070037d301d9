/** A map is swept when it has this many entries, or twice as many as the last sweep has left. */
const fewest = 1024

/**
 * Makes the function that deletes the entries that are over, when there are many again. It is called before one is added,
 * so that a client that can choose keys (a login, an address) cannot fill the memory.
 */
export const makeSweep = <K, V>(entries: Map<K, V>, isOver: (entry: V, now: number) => boolean) => {
  let sweepAt = fewest
  return (now: number): void => {
    if (entries.size < sweepAt) return
    for (const [key, entry] of entries) if (isOver(entry, now)) entries.delete(key)
    sweepAt = Math.max(fewest, entries.size * 2)
  }
}
