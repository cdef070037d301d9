import { Effect, Stream } from "effect"
import { AccountExport } from "../services/admin/AccountExport.ts"
import { AccountExport as Declared } from "./AccountExport.ts"
import { actorOf, CurrentService } from "./Callers.ts"

/** Serves the operation of `AccountExport` over RPC. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const exports = yield* AccountExport
    return Declared.rpcs.of({
      "admin.exportAccount": ({ userId }) =>
        Stream.unwrap(Effect.flatMap(CurrentService, (service) => exports.open(actorOf(service), userId)))
    })
  })
)
