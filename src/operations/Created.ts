import { Context, Effect } from "effect"

/**
 * Receives from the handlers of `conversation.create`, `member.add` and `invite.accept` whether the call made
 * something new. HTTP then answers 201, and otherwise 200. The other transports do not show the difference, and do not
 * listen.
 */
export const CreatedListener = Context.Reference<(created: boolean) => void>("chat/operations/CreatedListener", {
  defaultValue: () => () => {}
})

/** Reports to the transport whether the call made something new. */
export const reportCreated = (created: boolean): Effect.Effect<void> =>
  Effect.map(CreatedListener, (listener) => listener(created))
