/** A new id for something that must happen once, however often it is asked for. */
export const randomId = (): string => crypto.getRandomValues(new Uint32Array(4)).join("-")
