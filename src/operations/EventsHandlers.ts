import { Effect } from "effect"
import { limitOf } from "../domain/Page.ts"
import { Messages } from "../services/messages/Messages.ts"
import { Sync } from "../services/messages/Sync.ts"
import { bytesPer } from "../services/platform/load/HeavyReads.ts"
import { Settings } from "../services/platform/Settings.ts"
import { Events as Declared } from "./Events.ts"
import { makeHeavyHandlers } from "./HeavyHandlers.ts"

/** Serves the operations of `Events`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const messages = yield* Messages
    const { sync } = yield* Sync
    const { pageSize } = (yield* Settings).limits
    const { asReader, asReaderOf } = yield* makeHeavyHandlers
    return Declared.rpcs.of({
      "events.pull": asReader(
        (userId, { after = 0, conversationId, limit }) =>
          messages.events(userId, conversationId, { after, limit: limitOf(limit, pageSize) }),
        ({ data }) => ("message" in data ? data.message.body : undefined)
      ),
      "events.sync": asReaderOf(
        (userId, request) => sync(userId, request),
        ({ added, behind, drafts, settings, stars }, { cursors }) =>
          bytesPer.conversation * added.length +
          bytesPer.item * (drafts.length + settings.length + stars.length) +
          bytesPer.membership * (behind.length + Object.keys(cursors).length)
      )
    })
  })
)
