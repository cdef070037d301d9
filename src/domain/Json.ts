const byteOrderMark = "\uFEFF"

/**
 * Removes the byte order mark that some programs write before a JSON text, because no parser accepts it (RFC 8259,
 * 8.1).
 */
export const withoutByteOrderMark = (json: string): string => (json.startsWith(byteOrderMark) ? json.slice(1) : json)

/** A field with a number that has a fraction or an exponent. Only such a number can be read as an integer that it is not. */
const fractional = /:\s*-?\d+[.eE]/

/** Whether a number of JSON is exactly this integer, which is not 0, as 1.0 and 10e-1 are 1. */
const isWritten = (number: string, integer: number): boolean => {
  const [mantissa = "", exponent = "0"] = number.toLowerCase().split("e")
  const [whole = "", fraction = ""] = mantissa.replace("-", "").split(".")
  const digits = `${whole}${fraction}`.replace(/^0+/, "")
  const expected = String(Math.abs(integer))
  const padded = digits.padEnd(expected.length, "0")
  return (
    digits.length - fraction.length + Number(exponent) === expected.length &&
    padded.startsWith(expected) &&
    /^0*$/.test(padded.slice(expected.length))
  )
}

/**
 * The strings of a JSON text, and its numbers with a fraction or an exponent. In a text that is no JSON, an open string would
 * be read again and again.
 */
const stringsAndFractions = /"[^"\\]*(?:\\.[^"\\]*)*"|(?<![\d.eE+-])-?\d+(?=[.eE])[\d.eE+-]*/g

/** Whether so few digits are those of the integer, because no other number of 15 digits is read as the same. */
const isShort = (number: string, integer: number) => number.length <= 16 && integer !== 0 && Math.abs(integer) < 1e15

/** Puts Infinity in the place of a number that was rounded to an integer, as 1e-400 is to 0. No Schema accepts it. */
const unrounded = (part: string): string => {
  if (part.startsWith('"')) return part
  const value = Number(part)
  if (!Number.isSafeInteger(value) || isShort(part, value)) return part
  return (value === 0 ? /^[-0.]*(e|$)/i.test(part) : isWritten(part, value)) ? part : "1e999"
}

/**
 * Parses JSON; undefined for any other text. A field whose number would be rounded to an integer is Infinity. Three times
 * as fast as `Schema.fromJsonString`, and fifty times as fast as a function that is called for each value.
 */
export const parseJson = (text: string): unknown => {
  try {
    const json: unknown = JSON.parse(text)
    if (!fractional.test(text)) return json
    const exact = text.replace(stringsAndFractions, unrounded)
    return exact === text ? json : JSON.parse(exact)
  } catch {
    return undefined
  }
}

/** Whether a character outside of strings passes the test, which gets the codes of these characters in order. */
const someOutsideStrings = (json: string, test: (code: number) => boolean): boolean => {
  let inString = false
  for (let i = 0; i < json.length; i++) {
    const code = json.charCodeAt(i)
    if (inString) {
      if (code === 0x5c) i++
      else if (code === 0x22) inString = false
    } else if (code === 0x22) inString = true
    else if (test(code)) return true
  }
  return false
}

/**
 * Whether a JSON text nests more than `max` arrays and objects. It reads the text in one pass, so that it can run before
 * the parser, which deep nesting can exhaust.
 */
export const deeperThan = (json: string, max: number): boolean => {
  // Most texts open at most `max` arrays and objects in total, and `indexOf` is much faster than the loop below.
  let opened = 0
  for (const bracket of ["{", "["]) {
    for (let at = json.indexOf(bracket); at >= 0 && opened <= max; at = json.indexOf(bracket, at + 1)) opened++
  }
  if (opened <= max) return false
  let depth = 0
  return someOutsideStrings(json, (code) => {
    if (code === 0x5b || code === 0x7b) depth++
    else if (code === 0x5d || code === 0x7d) depth--
    return depth > max
  })
}

/**
 * Whether the objects of a JSON text have more than `max` fields in total. Like `deeperThan` it runs before the parser, and
 * before the Schemas, to which each unknown field costs more than its bytes.
 */
export const moreFieldsThan = (json: string, max: number): boolean => {
  // Most texts have at most `max` colons, inside strings or not.
  let colons = 0
  for (let at = json.indexOf(":"); at >= 0 && colons <= max; at = json.indexOf(":", at + 1)) colons++
  if (colons <= max) return false
  let fields = 0
  return someOutsideStrings(json, (code) => {
    if (code === 0x3a) fields++
    return fields > max
  })
}

/**
 * Whether a JSON text is an array of more than `max` items. It reads the text up to the first item too many, so that it can
 * run before everything that reads all of it.
 */
export const moreItemsThan = (json: string, max: number): boolean => {
  if (!json.trimStart().startsWith("[")) return false
  let depth = 0
  let commas = 0
  return someOutsideStrings(json, (code) => {
    if (code === 0x5b || code === 0x7b) depth++
    else if (code === 0x5d || code === 0x7d) depth--
    else if (code === 0x2c && depth === 1) commas++
    return commas >= max
  })
}
