import { Effect } from "effect"
import { toPage } from "../domain/Page.ts"
import { ServiceTokens } from "../services/admin/ServiceTokens.ts"
import { Settings } from "../services/platform/Settings.ts"
import { actorOf, asService } from "./Callers.ts"
import { ServiceTokens as Declared } from "./ServiceTokens.ts"

/** Serves the operations of `ServiceTokens`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const tokens = yield* ServiceTokens
    const { pageSize } = (yield* Settings).limits
    return Declared.rpcs.of({
      "token.create": asService((service, token) => tokens.create(actorOf(service), token, service.scopes)),
      "token.list": asService((_, page) => tokens.list(toPage(page, pageSize))),
      "token.revoke": asService((service, { tokenId }) => tokens.revoke(actorOf(service), tokenId))
    })
  })
)
