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

/** What a user was editing in a conversation or a thread, in this tab; null when nothing was. It survives reloads. */
export const editOf = (userId: string, place: string): Edit | null => {
  try {
    const kept = JSON.parse(sessionStorage.getItem(`${editPrefix}${userId}.${place}`) ?? "null")
    return typeof kept?.messageId === "string" && typeof kept.body === "string" ? kept : null
  } catch {
    return null
  }
}

/** Keeps what is being edited. */
export const keepEdit = (userId: string, place: string, edit: Edit | null): void => {
  const key = `${editPrefix}${userId}.${place}`
  if (edit === null) sessionStorage.removeItem(key)
  else sessionStorage.setItem(key, JSON.stringify(edit))
}

const remove = (storage: Storage, prefix: string) => {
  for (const key of Object.keys(storage)) if (key.startsWith(prefix)) storage.removeItem(key)
}

/** Forgets all drafts of this browser, and the edits of this tab, for a user who signs out. */
export const forgetDrafts = (): void => {
  remove(localStorage, keyOf(""))
  remove(sessionStorage, editPrefix)
}
