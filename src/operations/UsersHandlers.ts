import { Effect } from "effect"
import { toPage } from "../domain/Page.ts"
import { AccountClosing } from "../services/conversations/AccountClosing.ts"
import { ReadMarkers } from "../services/conversations/ReadMarkers.ts"
import { Users } from "../services/identity/Users.ts"
import { bytesPer } from "../services/platform/load/HeavyReads.ts"
import { Settings } from "../services/platform/Settings.ts"
import { asPrincipal } from "./Callers.ts"
import { asUser } from "./CallTurnHandlers.ts"
import { makeHeavyHandlers } from "./HeavyHandlers.ts"
import { Users as Declared } from "./Users.ts"

/** Serves the operations of `Users`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const accounts = yield* AccountClosing
    const markers = yield* ReadMarkers
    const users = yield* Users
    const { asReader, asReaderOf } = yield* makeHeavyHandlers
    const { pageSize } = (yield* Settings).limits
    return Declared.rpcs.of({
      "user.me": asUser((userId) => users.me(userId)),
      "user.update": asUser((userId, change) => users.update(userId, change)),
      "user.removeAvatar": asUser((userId) => Effect.asVoid(users.update(userId, { avatarUrl: null }))),
      "user.delete": asPrincipal((principal, { password }) => accounts.delete(principal, password)),
      // It counts in all conversations of the user.
      "user.unread": asReaderOf(
        (userId) => markers.unread(userId),
        () => bytesPer.conversation
      ),
      "user.search": asReader((viewerId, { query, ...page }) =>
        users.search({ query, viewerId, ...toPage(page, pageSize) })
      ),
      "user.get": asUser((viewerId, { userId }) => users.look(viewerId, userId)),
      "user.list": asUser((viewerId, { userIds }) =>
        Effect.map(users.lookAt(viewerId, userIds), (items) => ({ items }))
      )
    })
  })
)
