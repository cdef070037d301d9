import { Layer } from "effect"
import { Contacts } from "../identity/Contacts.ts"
import * as InProcessPresenceStore from "./InProcessPresenceStore.ts"
import { Presence } from "./Presence.ts"
import { Typing } from "./Typing.ts"

/** Presence on any store; PostgreSQL says which users share a conversation. */
export const layerNoDeps = Presence.layerNoDeps.pipe(Layer.provide(Contacts.layer))

/** Presence of a single node, which keeps it in its own memory. */
export const layer = layerNoDeps.pipe(Layer.provide(InProcessPresenceStore.layer))

/** Who is typing, on any bus and any conversations. */
export const layerTyping = Typing.layer
