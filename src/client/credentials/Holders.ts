import { Effect, type Scope, Semaphore } from "effect"
import { ConnectionLost } from "../Failures.ts"
import type { Tokens } from "../Plain.ts"

/**
 * Where an app keeps the tokens of a session. Several clients may use one storage: before a client renews, it reads what
 * is stored, and takes over a pair that another client has got meanwhile.
 */
export interface TokenStorage {
  /** Reads the stored tokens; undefined when there are none. */
  readonly load: () => Tokens | undefined | Promise<Tokens | undefined>
  /** Replaces the stored tokens. The client waits for it before it uses the new pair. */
  readonly save: (tokens: Tokens) => void | Promise<void>
  /**
   * Waits until no other process renews, and returns what lets the next one go on. It is held for at most 10 seconds.
   * Only several processes with one storage need it: the clients of one process, and those in all tabs of a browser, take
   * turns without it.
   */
  readonly lock?: () => Promise<() => void | Promise<void>>
}

/** The state that the clients of one session in this process share. */
interface Session {
  clients: number
  readonly oneAtATime: Semaphore.Semaphore
  latest: Tokens
  /** The access tokens that were replaced. Presenting their refresh tokens again would end the session. */
  readonly replaced: Set<string>
}

/** The sessions that this process has clients of. Two clients must not renew the same pair, whoever made them. */
const sessions = new Map<string, Session>()

const enter = (key: string, tokens: Tokens): Session => {
  const session = sessions.get(key) ?? {
    clients: 0,
    oneAtATime: Semaphore.makeUnsafe(1),
    latest: tokens,
    replaced: new Set()
  }
  session.clients++
  sessions.set(key, session)
  return session
}

const leave = (key: string, session: Session) => {
  session.clients--
  if (session.clients === 0) sessions.delete(key)
}

/** A call into the app's storage. Its failure counts as a lost connection: the client tries again later. */
const asked = <A>(call: () => A | Promise<A>) =>
  Effect.tryPromise({ try: async () => call(), catch: (cause) => new ConnectionLost({ cause }) })

/** Runs an effect while holding a lock, which `acquire` takes and whose result releases it. */
const holding =
  (acquire: () => Promise<() => void | Promise<void>>) =>
  <A, E, R>(use: Effect.Effect<A, E, R>) =>
    Effect.acquireUseRelease(asked(acquire), () => use, asked)

/** Takes the Web Lock of that name, which the tabs of a browser share. Old browsers and pages on http have none. */
const webLock = (name: string) => async () => {
  const { locks } = globalThis.navigator ?? {}
  if (locks === undefined) return () => {}
  return new Promise<() => void>((resolve, reject) => {
    locks.request(name, () => new Promise<void>((release) => resolve(() => release()))).catch(reject)
  })
}

/** The tokens of a session, shared with every other holder of that session. */
interface Holder {
  /** The newest pair that this process knows. */
  readonly tokens: () => Tokens
  /**
   * Makes `tokens` return another pair than the one with the access token `old`. Runs `refresh` when neither this process
   * nor the storage has a newer pair.
   */
  readonly renew: <E>(
    old: string,
    refresh: (refreshToken: string) => Effect.Effect<Tokens, E>
  ) => Effect.Effect<void, E | ConnectionLost>
}

/** Joins the holders of a session until the scope closes. `url` is the URL of the service that the session belongs to. */
export const joinHolders = (
  url: string,
  tokens: Tokens,
  storage: TokenStorage | undefined,
  onRenewed: ((tokens: Tokens) => void | Promise<void>) | undefined
): Effect.Effect<Holder, never, Scope.Scope> =>
  Effect.gen(function* () {
    const key = `${url} ${tokens.sessionId}`
    const session = yield* Effect.acquireRelease(
      Effect.sync(() => enter(key, tokens)),
      (it) => Effect.sync(() => leave(key, it))
    )

    const isNewer = ({ accessToken, user }: Tokens) =>
      user.id === tokens.user.id && accessToken !== session.latest.accessToken && !session.replaced.has(accessToken)

    const adopt = (newer: Tokens) => {
      session.replaced.add(session.latest.accessToken)
      session.latest = newer
    }
    // A client that was made with a newer pair than the others brings it to them.
    if (isNewer(tokens)) adopt(tokens)

    const keep = (renewed: Tokens) =>
      asked(async () => {
        await storage?.save(renewed)
        await onRenewed?.(renewed)
      })

    const exchange = <E>(refresh: (refreshToken: string) => Effect.Effect<Tokens, E>) =>
      Effect.gen(function* () {
        const found = yield* asked(() => storage?.load())
        if (found !== undefined && isNewer(found)) return adopt(found)
        const renewed = yield* refresh(session.latest.refreshToken)
        yield* keep(renewed)
        adopt(renewed)
      })

    const locked = <E>(effect: Effect.Effect<void, E>) =>
      (storage?.lock === undefined ? effect : holding(storage.lock)(effect)).pipe(
        holding(webLock(`chat-service ${key}`))
      )

    return {
      tokens: () => session.latest,
      renew: (old, refresh) =>
        Effect.suspend(() =>
          // An interruption must not come between the answer and its storage: the pair would be lost.
          session.latest.accessToken === old ? Effect.uninterruptible(locked(exchange(refresh))) : Effect.void
        ).pipe(session.oneAtATime.withPermit)
    }
  })
