import { Effect } from "effect"
import { toPage } from "../domain/Page.ts"
import { Blocks } from "../services/conversations/Blocks.ts"
import { Users } from "../services/identity/Users.ts"
import { Settings } from "../services/platform/Settings.ts"
import { Blocks as Declared } from "./Blocks.ts"
import { asUser } from "./CallTurnHandlers.ts"
import { makeHeavyHandlers } from "./HeavyHandlers.ts"

/** Serves the operations of `Blocks`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const blocks = yield* Blocks
    const users = yield* Users
    const { asReader } = yield* makeHeavyHandlers
    const { pageSize } = (yield* Settings).limits
    return Declared.rpcs.of({
      // A list of blocks shows profiles, so nobody is in it whom the user may not see.
      "block.add": asUser((userId, blocked) =>
        Effect.andThen(users.look(userId, blocked.userId), blocks.add(userId, blocked.userId))
      ),
      "block.remove": asUser((userId, blocked) => blocks.remove(userId, blocked.userId)),
      "block.list": asReader((userId, page) => blocks.list(userId, toPage(page, pageSize)))
    })
  })
)
