import { Effect, Semaphore, Stream } from "effect"
import type { ConversationId, MessageId } from "../domain/Ids.ts"
import type { Message } from "../domain/Message.ts"
import { NotFound, type Problem } from "../domain/Problem.ts"
import type { Refused } from "./Failures.ts"
import type { Ask, CommandError } from "./Operations.ts"
import type { ChatState } from "./state/State.ts"
import type { Store } from "./state/Store.ts"

/** Repeats a request until it is answered, on as many connections as that takes. */
const persistently = <A>(effect: Effect.Effect<A, CommandError>): Effect.Effect<A, Problem | Refused> =>
  Effect.catchTag(effect, "ConnectionLost", () => persistently(effect))

/** Makes the requests for a page, each of which answers whether it could be merged. */
const makeFetches = (store: Store, ask: Ask<CommandError>) => ({
  history: (conversationId: ConversationId) => (place: { readonly before?: number }) =>
    Effect.map(ask("message.list", { conversationId, ...place }), (found) => store.paged(conversationId, found)),
  thread: (conversationId: ConversationId, messageId: MessageId) => (place: { readonly before?: number }) =>
    Effect.map(ask("thread.list", { conversationId, messageId, ...place }), (found) =>
      store.threadPaged(conversationId, messageId, found)
    )
})

/** The place of the page before what is held; undefined when there is none. */
const olderThan = (
  held: { readonly messages: ReadonlyArray<Message> | null; readonly hasBefore: boolean } | undefined
) => {
  const first = held?.messages?.[0]
  return first !== undefined && held?.hasBefore === true ? { before: first.seq } : undefined
}

/** Fetches pages of the histories that are open in the state, one page at a time. */
export const makePages = Effect.fnUntraced(function* (
  store: Store,
  changes: Stream.Stream<ChatState>,
  {
    ask,
    connected,
    publish
  }: {
    readonly ask: Ask<CommandError>
    readonly connected: Effect.Effect<unknown, Refused>
    readonly publish: Effect.Effect<void>
  }
) {
  const paging = yield* Semaphore.make(1)

  /** A DM without messages shows only to the users who have opened it, so it is opened here as well. */
  const show = (conversationId: ConversationId) =>
    ask("conversation.get", { conversationId }).pipe(
      Effect.flatMap(({ peer }) =>
        peer === null ? Effect.void : ask("conversation.create", { kind: "dm", userId: peer.id })
      ),
      persistently
    )

  /** Waits for the conversation to be in the state: one that was created just now may still be on its way. */
  const known = (id: ConversationId): Effect.Effect<unknown, Problem | Refused> =>
    Effect.andThen(
      connected,
      Effect.suspend(() => (store.get(id) === undefined ? show(id) : Effect.void))
    ).pipe(
      Effect.andThen(
        changes.pipe(
          Stream.filter(({ conversations }) => conversations.has(id)),
          Stream.runHead,
          Effect.timeoutOrElse({ duration: "10 seconds", orElse: () => Effect.fail(new NotFound({})) })
        )
      )
    )

  /** Fetches a page, at the place that `where` gives when its turn comes; undefined means that none is wanted. */
  const page = (
    conversationId: ConversationId,
    where: () => { readonly before?: number } | undefined,
    fetch: (place: { readonly before?: number }) => Effect.Effect<boolean, CommandError>
  ) =>
    Effect.suspend(() => {
      const place = where()
      if (place === undefined) return Effect.succeed(true)
      store.asking(conversationId)
      return fetch(place)
    }).pipe(
      // The events that arrived meanwhile are lost with the connection; the page is then asked for again.
      Effect.repeat({ until: (done) => done }),
      persistently,
      Effect.andThen(publish),
      paging.withPermit
    )

  const { history, thread } = makeFetches(store, ask)

  return {
    open: (id: ConversationId) =>
      Effect.andThen(
        known(id),
        page(id, () => (store.get(id)?.messages === null ? {} : undefined), history(id))
      ),
    loadOlder: (id: ConversationId) => page(id, () => olderThan(store.get(id)), history(id)),
    openThread: (id: ConversationId, messageId: MessageId) =>
      Effect.andThen(
        known(id),
        page(id, () => (store.get(id)?.threads.has(messageId) === true ? undefined : {}), thread(id, messageId))
      ),
    loadOlderReplies: (id: ConversationId, messageId: MessageId) =>
      page(id, () => olderThan(store.get(id)?.threads.get(messageId)), thread(id, messageId))
  }
})
