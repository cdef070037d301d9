import { Effect } from "effect"
import { Attachments } from "../services/files/Attachments.ts"
import { Attachments as Declared } from "./Attachments.ts"
import { asUser } from "./CallTurnHandlers.ts"

/** Serves the operations of `Attachments`. */
export const layer = Declared.rpcs.toLayer(
  Effect.gen(function* () {
    const attachments = yield* Attachments
    return Declared.rpcs.of({
      "attachment.link": asUser((userId, { attachmentId }) => attachments.link(userId, attachmentId)),
      "attachment.delete": asUser((userId, { attachmentId }) => attachments.discard(userId, attachmentId)),
      "user.storage": asUser((userId) => attachments.use(userId))
    })
  })
)
