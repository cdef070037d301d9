/** Whether JSON text nests deeper than `max` arrays and objects; read before it is parsed, in one pass. */
export const deeperThan = (json: string, max: number): boolean => {
  // Most texts open fewer arrays and objects than that, and a search is much quicker than the loop.
  let opened = 0
  for (const bracket of ["{", "["]) {
    for (let at = json.indexOf(bracket); at >= 0 && opened <= max; at = json.indexOf(bracket, at + 1)) opened++
  }
  if (opened <= max) return false
  let depth = 0
  let inString = false
  for (let i = 0; i < json.length; i++) {
    const c = json.charCodeAt(i)
    if (inString) {
      if (c === 0x5c) i++
      else if (c === 0x22) inString = false
    } else if (c === 0x22) inString = true
    else if (c === 0x5b || c === 0x7b) {
      if (++depth > max) return true
    } else if (c === 0x5d || c === 0x7d) depth--
  }
  return false
}
