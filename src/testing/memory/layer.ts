import { Layer } from "effect"
import * as Bus from "../../services/bus/layer.ts"
import { AccountClosing } from "../../services/conversations/AccountClosing.ts"
import { AccountOpening } from "../../services/conversations/AccountOpening.ts"
import type { Blobs as BlobStore } from "../../services/files/Blobs.ts"
import { Images } from "../../services/files/Images.ts"
import { AccessTokens } from "../../services/identity/AccessTokens.ts"
import { ExternalTokens } from "../../services/identity/issuers/ExternalTokens.ts"
import { Messages } from "../../services/messages/Messages.ts"
import { Sync } from "../../services/messages/Sync.ts"
import { Limits } from "../../services/platform/Limits.ts"
import * as Platform from "../../services/platform/layer.ts"
import { Typing } from "../../services/presence/Typing.ts"
import * as AccountAdmin from "./AccountAdmin.ts"
import * as AccountExport from "./AccountExport.ts"
import * as Attachments from "./Attachments.ts"
import * as Audit from "./Audit.ts"
import * as Avatars from "./Avatars.ts"
import * as Blobs from "./Blobs.ts"
import * as Blocks from "./Blocks.ts"
import * as ChangeFeed from "./ChangeFeed.ts"
import * as ConversationAdmin from "./ConversationAdmin.ts"
import * as ConversationChanges from "./ConversationChanges.ts"
import * as Conversations from "./Conversations.ts"
import * as DisappearingMessages from "./DisappearingMessages.ts"
import * as Drafts from "./Drafts.ts"
import * as Erasures from "./Erasures.ts"
import * as Guests from "./Guests.ts"
import * as Invites from "./Invites.ts"
import * as Log from "./Log.ts"
import * as Members from "./Members.ts"
import * as MessageChanges from "./MessageChanges.ts"
import * as PasswordResets from "./PasswordResets.ts"
import * as Passwords from "./Passwords.ts"
import * as Pins from "./Pins.ts"
import * as Polls from "./Polls.ts"
import * as Presence from "./Presence.ts"
import * as Principals from "./Principals.ts"
import * as Reactions from "./Reactions.ts"
import * as ReadMarkers from "./ReadMarkers.ts"
import * as RegistrationAdmin from "./RegistrationAdmin.ts"
import * as ResumableUploads from "./ResumableUploads.ts"
import * as ScheduledMessages from "./ScheduledMessages.ts"
import * as Search from "./Search.ts"
import * as ServerConversations from "./ServerConversations.ts"
import * as ServerUsers from "./ServerUsers.ts"
import * as ServiceTokens from "./ServiceTokens.ts"
import * as Sessions from "./Sessions.ts"
import * as Stars from "./Stars.ts"
import { Memory } from "./State.ts"
import * as StreamPositions from "./StreamPositions.ts"
import * as Threads from "./Threads.ts"
import * as Users from "./Users.ts"

/** The services of one process that the others stand on, and the `Memory` that they share. */
export const layerBase = Layer.mergeAll(
  Memory.layer,
  Bus.layerAlone,
  Limits.layer,
  AccessTokens.layer,
  ExternalTokens.layer,
  Passwords.layerMemory,
  Platform.layerNoDeps
)

/** Users and sessions. */
export const layerIdentity = Layer.merge(Users.layerMemory, Sessions.layerMemory)

/** Files, in memory and on any store. Nothing decodes pictures. */
export const layerFilesOn = <E, R>(blobs: Layer.Layer<BlobStore, E, R>) =>
  ResumableUploads.layerMemory.pipe(
    Layer.provideMerge(Layer.merge(Attachments.layerMemory, Avatars.layerMemory)),
    Layer.provideMerge(Layer.merge(blobs, Images.layerNone))
  )

/** Files, all in memory. */
export const layerFiles = layerFilesOn(Blobs.layerMemory)

/** The log of conversations, its change feed, and the positions that streams of events have reached in it. */
export const layerLog = Layer.mergeAll(Log.layerMemory, ChangeFeed.layerMemory, StreamPositions.layerMemory)

/** Conversations, their members and the changes that these can make. */
export const layerConversations = Layer.mergeAll(
  AccountClosing.layer,
  Layer.merge(AccountOpening.layer, Guests.layerMemory).pipe(
    Layer.provideMerge(Layer.merge(Invites.layerMemory, RegistrationAdmin.layerChoice))
  ),
  Blocks.layerMemory,
  ConversationChanges.layerMemory,
  ReadMarkers.layerMemory
).pipe(Layer.provideMerge(Members.layerMemory), Layer.provideMerge(Conversations.layerMemory))

/** Messages, and what users do with them. */
export const layerMessages = Layer.mergeAll(
  DisappearingMessages.layerMemory,
  Erasures.layerMemory,
  Pins.layerMemory,
  Polls.layerMemory,
  Reactions.layerMemory,
  ScheduledMessages.layerMemory,
  Search.layerMemory,
  Sync.layer,
  Threads.layerMemory
).pipe(
  Layer.provideMerge(MessageChanges.layerMemory),
  Layer.provideMerge(Layer.mergeAll(Messages.layer, Drafts.layerMemory, Stars.layerMemory))
)

/** The services for operators and their programs. */
export const layerAdmin = Layer.mergeAll(
  AccountExport.layerMemory,
  ConversationAdmin.layerMemory,
  PasswordResets.layerMemory,
  ServerConversations.layerMemory,
  Layer.merge(Principals.layerMemory, ServerUsers.layerMemory).pipe(
    Layer.provideMerge(Layer.mergeAll(ServiceTokens.layerMemory, AccountAdmin.layerMemory, Audit.layerMemory))
  ),
  RegistrationAdmin.layerMemory
)

/** Presence and typing. */
export const layerPresence = Layer.merge(Presence.layerMemory, Typing.layer)
