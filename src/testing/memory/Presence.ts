import { Layer } from "effect"
import * as InProcessPresenceStore from "../../services/presence/InProcessPresenceStore.ts"
import { Presence } from "../../services/presence/Presence.ts"
import * as Contacts from "./Contacts.ts"

/** Presence in this process, of users whose conversations are in `Memory`. */
export const layerMemory = Presence.layerNoDeps.pipe(
  Layer.provide([Contacts.layerMemory, InProcessPresenceStore.layer])
)
