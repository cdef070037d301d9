import { Layer } from "effect"
import { EventStreams } from "../http/EventStreams.ts"
import { AccessTokens } from "../services/AccessTokens.ts"
import { Accounts } from "../services/Accounts.ts"
import { Blocks } from "../services/Blocks.ts"
import { ConversationChanges } from "../services/ConversationChanges.ts"
import { Conversations } from "../services/Conversations.ts"
import { Drafts } from "../services/Drafts.ts"
import { Drain } from "../services/Drain.ts"
import { EventCursors } from "../services/EventCursors.ts"
import { Invites } from "../services/Invites.ts"
import { Limits } from "../services/Limits.ts"
import { Log } from "../services/Log.ts"
import { Members } from "../services/Members.ts"
import { Memory } from "../services/Memory.ts"
import { MessageChanges } from "../services/MessageChanges.ts"
import { Messages } from "../services/Messages.ts"
import { Nodes } from "../services/Nodes.ts"
import { Passwords } from "../services/Passwords.ts"
import { Pins } from "../services/Pins.ts"
import { Polls } from "../services/Polls.ts"
import { Presence } from "../services/Presence.ts"
import { PubSub } from "../services/PubSub.ts"
import { Reactions } from "../services/Reactions.ts"
import { Readiness } from "../services/Readiness.ts"
import { ScheduledMessages } from "../services/ScheduledMessages.ts"
import { Search } from "../services/Search.ts"
import { Sessions } from "../services/Sessions.ts"
import { Settings, type SettingsOverrides } from "../services/Settings.ts"
import { Sync } from "../services/Sync.ts"
import { Threads } from "../services/Threads.ts"
import { Typing } from "../services/Typing.ts"
import { Users } from "../services/Users.ts"
import { CatchUp } from "../ws/CatchUp.ts"
import { Hub } from "../ws/Hub.ts"

/** All services in memory, as their fakes have it: they pass the same contract suites as those on PostgreSQL. */
export const fakeServices = (overrides: SettingsOverrides = {}) =>
  Layer.mergeAll(
    Accounts.layer.pipe(Layer.provide([Members.layerTest, Sessions.layerTest])),
    Blocks.layerTest,
    MessageChanges.layerTest,
    Reactions.layerTest,
    Pins.layerTest,
    Threads.layerTest,
    Polls.layerTest,
    Messages.layer,
    ScheduledMessages.layerTest.pipe(Layer.provide(Messages.layer)),
    Search.layerTest,
    ConversationChanges.layerTest,
    Invites.layerTest,
    Members.layerTest,
    Typing.layer,
    Users.layerTest,
    EventStreams.layer
  ).pipe(
    Layer.provideMerge(CatchUp.layer),
    Layer.provideMerge(Layer.mergeAll(Hub.layer, Sync.layer, Sessions.layerTest, EventCursors.layerTest)),
    Layer.provideMerge(Drafts.layerTest),
    Layer.provideMerge(Layer.mergeAll(Conversations.layerTest, Presence.layerTest)),
    Layer.provideMerge(Log.layerTest),
    Layer.provideMerge(Readiness.layerNoDeps),
    Layer.provideMerge(
      Layer.mergeAll(
        Memory.layer,
        Nodes.layerAlone.pipe(Layer.provideMerge(PubSub.layer)),
        Limits.layer,
        AccessTokens.layer,
        Passwords.layerTest,
        Drain.layer
      )
    ),
    Layer.provideMerge(Settings.layerTest({ ...overrides, server: { ...overrides.server, port: 0 } }))
  )
