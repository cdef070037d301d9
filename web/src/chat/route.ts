import { useSyncExternalStore } from "react"

/** What a conversation shows next to its messages. */
type Panel =
  | { readonly kind: "thread"; readonly messageId: string }
  | { readonly kind: "details" }
  | { readonly kind: "pins" }

/** The place in the page that its address names. The part after `#` never reaches a server. */
export type Route =
  | { readonly name: "home" }
  | { readonly name: "saved" }
  | { readonly name: "scheduled" }
  /** An invite, which may admit guests. */
  | { readonly name: "invite"; readonly code: string; readonly guests: boolean }
  | {
      readonly name: "conversation"
      readonly id: string
      readonly panel: Panel | null
      /** The message to show in its place; null for the first unread one. */
      readonly seq: number | null
    }

const home: Route = { name: "home" }

const parse = (hash: string): Route => {
  const [name, id, part, value] = hash.replace(/^#\/?/, "").split("/")
  if ((name === "invite" || name === "join") && id) return { name: "invite", code: id, guests: name === "join" }
  if (name === "saved" || name === "scheduled") return { name }
  if (name !== "c" || !id) return home
  const seq = part === "at" && /^\d+$/.test(value ?? "") ? Number(value) : null
  if (part === "thread" && value) return { name: "conversation", id, seq, panel: { kind: "thread", messageId: value } }
  return { name: "conversation", id, seq, panel: part === "details" || part === "pins" ? { kind: part } : null }
}

const format = (route: Route): string => {
  if (route.name === "home") return "#/"
  if (route.name === "invite") return `#/${route.guests ? "join" : "invite"}/${route.code}`
  if (route.name !== "conversation") return `#/${route.name}`
  const { id, panel, seq } = route
  if (panel?.kind === "thread") return `#/c/${id}/thread/${panel.messageId}`
  if (panel !== null) return `#/c/${id}/${panel.kind}`
  return seq === null ? `#/c/${id}` : `#/c/${id}/at/${seq}`
}

let current = parse(location.hash)

const subscribe = (listener: () => void) => {
  const changed = () => {
    current = parse(location.hash)
    listener()
  }
  addEventListener("hashchange", changed)
  return () => removeEventListener("hashchange", changed)
}

/** The current place. */
export const useRoute = (): Route => useSyncExternalStore(subscribe, () => current)

/** Goes to a place. */
export const goTo = (route: Route): void => {
  location.hash = format(route)
}

/** Goes to a conversation, and shows one of its messages when `seq` is given. */
export const openConversation = (id: string, seq: number | null = null): void =>
  goTo({ name: "conversation", id, panel: null, seq })

/** Goes to a conversation with something next to its messages. */
export const openPanel = (id: string, panel: Panel): void => goTo({ name: "conversation", id, panel, seq: null })

/** The address of an invite, to share with others. */
export const inviteAddress = ({ code, guests }: { readonly code: string; readonly guests: boolean }): string =>
  `${location.origin}/${format({ name: "invite", code, guests })}`
