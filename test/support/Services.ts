import { Layer } from "effect"
import { AccessTokens } from "../../src/services/AccessTokens.ts"
import { Conversations } from "../../src/services/Conversations.ts"
import { Drain } from "../../src/services/Drain.ts"
import { Limits } from "../../src/services/Limits.ts"
import { Log } from "../../src/services/Log.ts"
import { Messages } from "../../src/services/Messages.ts"
import { Passwords } from "../../src/services/Passwords.ts"
import { PubSub } from "../../src/services/PubSub.ts"
import { Sessions } from "../../src/services/Sessions.ts"
import { Settings, type SettingsOverrides } from "../../src/services/Settings.ts"
import { Users } from "../../src/services/Users.ts"

/** All services on the PostgreSQL that the test provides; passwords are hashed by the quick fake. */
export const services = (overrides: SettingsOverrides = {}) =>
  Layer.mergeAll(Messages.layer, Conversations.layer, Users.layer, Sessions.layer).pipe(
    Layer.provideMerge(Log.layer),
    Layer.provideMerge(Layer.mergeAll(PubSub.layer, Limits.layer, AccessTokens.layer, Passwords.layerTest, Drain.layer)),
    Layer.provideMerge(Settings.layerTest(overrides))
  )
