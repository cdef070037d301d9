import { Chat, indexedDatabase, type TokenStorage } from "chat-service/client"
import { useSyncExternalStore } from "react"
import { forgetDrafts } from "./drafts.ts"
import type { Tokens } from "./types.ts"

/** The service that this page comes from. */
export const url = location.origin

const key = "chat-service.session"

const read = (): Tokens | undefined => {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "null") ?? undefined
  } catch {
    return undefined
  }
}

let tokens = read()
const listeners = new Set<() => void>()

const set = (next: Tokens | undefined) => {
  tokens = next
  if (next === undefined) localStorage.removeItem(key)
  else localStorage.setItem(key, JSON.stringify(next))
  for (const listener of listeners) listener()
}

// Another tab has signed in or out.
addEventListener("storage", (event) => {
  if (event.key !== key && event.key !== null) return
  const next = read()
  if (next?.sessionId === tokens?.sessionId) return
  tokens = next
  forgetDrafts()
  for (const listener of listeners) listener()
})

/** Where the tokens are kept, for all tabs. */
const storage: TokenStorage = {
  load: read,
  save: (next) => localStorage.setItem(key, JSON.stringify(next))
}

const subscribe = (listener: () => void) => {
  listeners.add(listener)
  return () => void listeners.delete(listener)
}

/** The session of this browser; undefined while nobody is signed in. */
export const useSession = () => useSyncExternalStore(subscribe, () => tokens)

/** Signs in, and stays signed in after a reload and in other tabs. */
export const signIn = async (login: string, password: string) => set(await Chat.login(url, { login, password }))

/** Joins the group of an invite as a guest, whose session this browser keeps. There is no other way back in. */
export const joinAsGuest = async (code: string, displayName: string) =>
  set(await Chat.joinAsGuest(url, { code, displayName }))

/**
 * Connects as a user. The browser keeps what was there: it is shown before there is a connection, and messages that are not
 * sent when the page is closed are sent when it is opened again. All tabs share one connection.
 */
export const connect = (signedIn: Tokens): Chat =>
  new Chat({ url, tokens: signedIn, storage, database: indexedDatabase(), client: { name: "web" } })

/** Forgets the session and the drafts in this browser. It does not end the session at the service. */
export const forgetSession = () => {
  forgetDrafts()
  set(undefined)
}
