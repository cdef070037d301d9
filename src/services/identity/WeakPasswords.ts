import type { Reason } from "../../domain/Problem.ts"
import { commonPasswords } from "./CommonPasswords.ts"

/** Sequences that people type, forwards or backwards: digits, letters, and the rows of common keyboards. */
const rows = [
  "0123456789",
  "abcdefghijklmnopqrstuvwxyz",
  "qwertyuiopasdfghjklzxcvbnm",
  "qwertzuiopasdfghjklyxcvbnm",
  "azertyuiopqsdfghjklmwxcvbn"
]
const sequences = rows.flatMap((row) => [row, [...row].reverse().join("")]).map((row) => row.repeat(2))

/** The longest part whose repetition is refused, in characters: `abcabcabc` has a part of three. */
const longestPart = 4

const isRepetition = (characters: ReadonlyArray<string>) => {
  for (let part = 1; part <= Math.min(longestPart, characters.length / 2); part++)
    if (characters.every((character, index) => character === characters[index % part])) return true
  return false
}

/** True when each character is the one after the previous one, or when each is the one before it, in any script. */
const isAlphabetic = (characters: ReadonlyArray<string>) => {
  const points = characters.map((character) => character.codePointAt(0) ?? 0)
  return [1, -1].some((step) =>
    points.every((point, index) => index === 0 || point - (points[index - 1] ?? 0) === step)
  )
}

/**
 * Why a new password is refused although it is long enough: it repeats a short part, is a plain sequence, or is one of
 * the 1,000 commonest. Undefined when it is none of these. Upper and lower case do not matter.
 */
export const weakness = (password: string): Reason | undefined => {
  const text = password.normalize("NFKC").toLowerCase()
  const characters = [...text]
  if (isRepetition(characters)) return { message: "must not repeat the same few characters", code: "repetition" }
  if (isAlphabetic(characters) || sequences.some((row) => row.includes(text)))
    return { message: "must not be a sequence of neighbouring characters", code: "sequence" }
  return commonPasswords.has(text)
    ? { message: "must not be one of the 1,000 commonest passwords", code: "common" }
    : undefined
}
