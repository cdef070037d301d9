const keyOf = (place: string) => `chat-service.draft.${place}`

/** What was being written in a conversation or a thread; empty when nothing was. It survives reloads. */
export const draftOf = (place: string): string => localStorage.getItem(keyOf(place)) ?? ""

/** Keeps what is being written. */
export const keepDraft = (place: string, body: string): void => {
  if (body.trim() === "") localStorage.removeItem(keyOf(place))
  else localStorage.setItem(keyOf(place), body)
}

/** A message that is being edited, and its new body so far. The message itself may change meanwhile. */
export interface Edit {
  readonly messageId: string
  readonly body: string
}

const editPrefix = "chat-service.edit."

const isEdit = (kept: unknown): kept is Edit =>
  typeof kept === "object" &&
  kept !== null &&
  "messageId" in kept &&
  typeof kept.messageId === "string" &&
  "body" in kept &&
  typeof kept.body === "string"

/**
 * What a user was editing in a conversation or a thread, in this tab: one edit of each message, the last one last. It survives
 * reloads.
 */
export const editsOf = (userId: string, place: string): ReadonlyArray<Edit> => {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(`${editPrefix}${userId}.${place}`) ?? "[]")
    return Array.isArray(kept) ? kept.filter(isEdit) : []
  } catch {
    return []
  }
}

/** Keeps the edit of a message, in place of the one before; null forgets it. Returns all edits of the place. */
export const keepEdit = (
  userId: string,
  place: string,
  messageId: string,
  body: string | null
): ReadonlyArray<Edit> => {
  const key = `${editPrefix}${userId}.${place}`
  const others = editsOf(userId, place).filter((edit) => edit.messageId !== messageId)
  const edits = body === null ? others : [...others, { messageId, body }]
  if (edits.length === 0) sessionStorage.removeItem(key)
  else sessionStorage.setItem(key, JSON.stringify(edits))
  return edits
}

const remove = (storage: Storage, prefix: string) => {
  for (const key of Object.keys(storage)) if (key.startsWith(prefix)) storage.removeItem(key)
}

/** Forgets all drafts of this browser, and the edits of this tab, for a user who signs out. */
export const forgetDrafts = (): void => {
  remove(localStorage, keyOf(""))
  remove(sessionStorage, editPrefix)
}
