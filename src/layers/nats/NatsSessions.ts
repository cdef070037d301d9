import type { Subscription } from "@nats-io/transport-node"
import { Effect, type Scope } from "effect"
import { every } from "../../services/platform/Background.ts"
import { NatsError } from "./NatsAddress.ts"
import type { NatsFields, NatsLink } from "./NatsLink.ts"

/** How long a stop of the service waits until the server has received what was published last, in milliseconds. */
export const closeGraceMs = 800

/** Takes the payload of a message, and the fields that came with it. Must be fast and must not throw. */
export type OnPayload = (payload: Uint8Array, fields: NatsFields) => void

/** A subscription that outlives links: it is made again on each new one. */
interface Interest {
  readonly subject: string
  readonly onPayload: OnPayload
  subscription: Subscription | undefined
}

/** How links are opened, and who hears of their troubles. */
interface NatsSessionsOptions {
  /** Opens a link. With `keepTrying` it tries again until a server answers. */
  readonly dial: (keepTrying: boolean) => Effect.Effect<NatsLink, NatsError>
  /** How long a new link may take to confirm its subscriptions, in milliseconds. */
  readonly answerMs: number
  /** Called with what the server reports about a link or a subscription. */
  readonly onError: (error: Error) => void
  /** Called when a server that did not answer for a while answers again. */
  readonly onAnswer: () => void
}

/** Makes the links to NATS one after another, and keeps the subscriptions across them. */
export const makeNatsSessions = (options: NatsSessionsOptions) => {
  const { answerMs, dial, onAnswer, onError } = options
  const interests = new Set<Interest>()
  const state: { link: NatsLink | undefined; healthy: boolean; reason: string } = {
    link: undefined,
    healthy: false,
    reason: "no connection"
  }

  const subscribe = (subject: string, onPayload: OnPayload) => {
    const interest = { subject, onPayload, subscription: state.link?.subscribe(subject, onPayload, onError) }
    interests.add(interest)
    return () => {
      interests.delete(interest)
      interest.subscription?.unsubscribe()
    }
  }

  /** Updates `healthy`: a server that does not answer counts as down long before its link counts as dead. */
  const checkHealth = Effect.fnUntraced(function* (link: NatsLink) {
    const answers = yield* link.confirmed.pipe(
      Effect.as(true),
      Effect.catch(() => Effect.succeed(false)),
      Effect.timeoutOrElse({ duration: "1 second", orElse: () => Effect.succeed(false) })
    )
    if (answers === state.healthy) return
    state.healthy = answers
    state.reason = `${link.server} does not answer`
    if (answers) onAnswer()
  })

  const noAnswer = ({ server }: NatsLink) =>
    new NatsError({ message: `nats.address: NATS at ${server} does not answer; restart it`, temporary: true })

  /** Opens one link with all subscriptions, and closes it with the scope. */
  const open = Effect.fnUntraced(function* (keepTrying: boolean) {
    const link = yield* Effect.acquireRelease(
      dial(keepTrying),
      (gone) => {
        state.link = undefined
        state.healthy = false
        return gone.close(closeGraceMs)
      },
      { interruptible: true }
    )
    state.link = link
    for (const interest of interests) {
      interest.subscription = link.subscribe(interest.subject, interest.onPayload, onError)
    }
    yield* Effect.timeoutOrElse(link.confirmed, {
      duration: answerMs,
      orElse: () => Effect.fail(noAnswer(link))
    })
    state.healthy = true
    return link
  })

  /** Opens one link, runs `onUp`, and waits until the link ends. Returns why it ended. */
  const run = Effect.fnUntraced(function* (
    keepTrying: boolean,
    onUp: (link: NatsLink) => Effect.Effect<unknown, never, Scope.Scope>
  ) {
    const link = yield* open(keepTrying)
    yield* onUp(link)
    yield* every("1 second", "the health check of NATS", checkHealth(link))
    const reason = yield* Effect.promise(() => link.ended)
    state.reason = reason
    return { server: link.server, reason }
  }, Effect.scoped)

  return { run, state, subscribe }
}

export type NatsSessions = ReturnType<typeof makeNatsSessions>
