import type { KeyboardEvent } from "react"

/** The key that browsers name while an input method takes the keys. */
const takenKey = 229

/**
 * Whether a key belongs to an input method, which uses Enter, Escape and the arrows to choose characters. Safari ends the
 * composition before it tells of the key that has ended it.
 */
export const isComposing = ({ keyCode, nativeEvent }: KeyboardEvent): boolean =>
  nativeEvent.isComposing || keyCode === takenKey
