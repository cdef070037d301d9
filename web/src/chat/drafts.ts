const keyOf = (place: string) => `chat-service.draft.${place}`

/** What was being written in a conversation or a thread; empty when nothing was. It survives reloads. */
export const draftOf = (place: string): string => localStorage.getItem(keyOf(place)) ?? ""

/** Keeps what is being written. */
export const keepDraft = (place: string, body: string): void => {
  if (body.trim() === "") localStorage.removeItem(keyOf(place))
  else localStorage.setItem(keyOf(place), body)
}

/** Forgets all drafts of this browser, for a user who signs out. */
export const forgetDrafts = (): void => {
  for (const key of Object.keys(localStorage)) if (key.startsWith(keyOf(""))) localStorage.removeItem(key)
}
