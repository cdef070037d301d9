import { randomUUIDv7 } from "node:crypto"
import { Clock, Context, Effect, Layer } from "effect"
import { ServiceTokenId, type UserId } from "../../domain/Ids.ts"
import type { Page, PageRequest } from "../../domain/Page.ts"
import { Forbidden, type InvalidRequest, NotFound, Unauthenticated, type Unavailable } from "../../domain/Problem.ts"
import type {
  BotPrincipal,
  CreatedServiceToken,
  NewBotToken,
  NewServiceToken,
  ServicePrincipal,
  ServiceToken
} from "../../domain/ServiceToken.ts"
import { PubSub, sessionsEnded } from "../bus/PubSub.ts"
import { sessionsSubject } from "../bus/Subjects.ts"
import { makeCountFailure } from "../identity/PasswordChecks.ts"
import { checkLimit, cursorOf, pageOf } from "../platform/Paging.ts"
import { Settings } from "../platform/Settings.ts"
import type { AuditActor } from "./Audit.ts"
import { makeSecrets } from "./Secrets.ts"

/** A row of `service_tokens`. The token of a bot has the bot, and no scopes. */
export interface ServiceTokenRow {
  readonly id: ServiceTokenId
  readonly name: string
  readonly hash: Uint8Array
  readonly scopes: ReadonlyArray<string>
  readonly botId: UserId | null
  readonly createdAt: Date
  readonly createdBy: string
  readonly expiresAt: Date | null
  readonly lastUsedAt: Date | null
}

/** Where service tokens are stored. A revoked one is deleted; the audit log remembers it. */
export class ServiceTokenStorage extends Context.Service<
  ServiceTokenStorage,
  {
    /** Stores a token, with its line in the audit log. */
    readonly insert: (row: ServiceTokenRow, actor: AuditActor) => Effect.Effect<void, Unavailable>
    /** The tokens with lower ids than `below`, the highest first; without `below`, from the newest on. */
    readonly list: (
      below: ServiceTokenId | undefined,
      limit: number
    ) => Effect.Effect<ReadonlyArray<ServiceTokenRow>, Unavailable>
    /** Deletes a token, with a line in the audit log; false when there is none. */
    readonly delete: (id: ServiceTokenId, actor: AuditActor) => Effect.Effect<boolean, Unavailable>
    /** The token with this hash, also one that has expired. */
    readonly find: (hash: Uint8Array) => Effect.Effect<ServiceTokenRow | undefined, Unavailable>
    /** Notes that the token was used at `now`, unless that was noted at or after `since`. */
    readonly use: (id: ServiceTokenId, now: Date, since: Date) => Effect.Effect<void, Unavailable>
  }
>()("chat/services/ServiceTokenStorage") {}

const secrets = makeSecrets("cst_")
const botSecrets = makeSecrets("cbt_")

/** Whether a text looks like the token of a bot. */
export const isBotToken = (token: string): boolean => token.startsWith("cbt_")

const cursor = cursorOf(ServiceTokenId)

/** The precision of `lastUsedAt`: a token in constant use is written once in this many milliseconds. */
const useInterval = 60_000

const invalid = new Unauthenticated({ code: "token-invalid", detail: "The service token is not valid" })
const expired = new Unauthenticated({ code: "token-expired", detail: "The service token has expired" })

const toToken = ({ createdAt, expiresAt, lastUsedAt, ...row }: ServiceTokenRow): ServiceToken => ({
  id: row.id,
  name: row.name,
  scopes: row.scopes,
  botId: row.botId,
  createdAt: createdAt.toISOString(),
  createdBy: row.createdBy,
  expiresAt: expiresAt?.toISOString() ?? null,
  lastUsedAt: lastUsedAt?.toISOString() ?? null
})

/** The tokens with which other programs administer the service, and those with which bots sign in. */
export class ServiceTokens extends Context.Service<
  ServiceTokens,
  {
    /**
     * Makes a token. Each call makes another one, and only its answer has the token itself. `granted` are the scopes of an
     * actor who does not have all of them: a token with any other one is `Forbidden`.
     */
    readonly create: (
      actor: AuditActor,
      token: NewServiceToken,
      granted?: ReadonlyArray<string>
    ) => Effect.Effect<CreatedServiceToken, Forbidden | Unavailable>
    /** Makes a token for a user who is a bot, which the caller has checked. Each call makes another one. */
    readonly createForBot: (
      actor: AuditActor,
      botId: UserId,
      token: NewBotToken
    ) => Effect.Effect<CreatedServiceToken, Unavailable>
    /** Reads a page of the tokens that are not revoked, the newest first. */
    readonly list: (page: PageRequest) => Effect.Effect<Page<ServiceToken>, InvalidRequest | Unavailable>
    /**
     * Revokes a token on all nodes at once, and has the sockets and streams closed that act with it (see `Principals`).
     * `NotFound` when there is none, and so when this is repeated.
     */
    readonly revoke: (actor: AuditActor, id: ServiceTokenId) => Effect.Effect<void, NotFound | Unavailable>
    /**
     * The program that holds a service token. It reads the token from the database each time, so that a revoked one ends at
     * once. Tokens of bots are refused.
     */
    readonly authenticate: (token: string) => Effect.Effect<ServicePrincipal, Unauthenticated | Unavailable>
    /** The bot of a token, in the same way. Nobody looks at its account here. */
    readonly authenticateBot: (token: string) => Effect.Effect<BotPrincipal, Unauthenticated | Unavailable>
  }
>()("chat/services/ServiceTokens") {
  /** The rules, on any `ServiceTokenStorage`. */
  static readonly layerNoDeps = Layer.effect(
    ServiceTokens,
    Effect.gen(function* () {
      const { limits } = yield* Settings
      const pubSub = yield* PubSub
      const storage = yield* ServiceTokenStorage
      const countFailure = yield* makeCountFailure

      const make = Effect.fnUntraced(function* (
        { hash, secret }: ReturnType<typeof secrets.make>,
        { expiresInSeconds = null, name }: NewBotToken,
        { actor, ...holder }: Pick<ServiceTokenRow, "scopes" | "botId"> & { readonly actor: AuditActor }
      ) {
        const now = yield* Clock.currentTimeMillis
        const row: ServiceTokenRow = {
          ...holder,
          id: ServiceTokenId.make(randomUUIDv7()),
          name,
          hash,
          createdAt: new Date(now),
          createdBy: actor,
          expiresAt: expiresInSeconds === null ? null : new Date(now + expiresInSeconds * 1000),
          lastUsedAt: null
        }
        yield* storage.insert(row, actor)
        return { ...toToken(row), token: secret }
      })

      /** The row of a token that has not expired, which is noted as used. */
      const use = Effect.fnUntraced(
        function* (hash: Uint8Array | undefined) {
          const row = hash === undefined ? undefined : yield* storage.find(hash)
          if (row === undefined) return yield* invalid
          const now = yield* Clock.currentTimeMillis
          if (row.expiresAt !== null && row.expiresAt.getTime() <= now) return yield* expired
          const since = new Date(now - useInterval)
          if (row.lastUsedAt === null || row.lastUsedAt < since) yield* storage.use(row.id, new Date(now), since)
          return { ...row, tokenId: row.id, expiresAt: row.expiresAt?.getTime() ?? null }
        },
        Effect.tapError((error) => (error._tag === "Unauthenticated" ? countFailure("service-token") : Effect.void))
      )

      return ServiceTokens.of({
        create: Effect.fn("ServiceTokens.create")(function* (actor, { scopes, ...token }, granted) {
          const lacking = granted === undefined ? undefined : scopes.find((scope) => !granted.includes(scope))
          if (lacking !== undefined) {
            return yield* new Forbidden({ detail: `The service token has no scope ${lacking} to give` })
          }
          return yield* make(secrets.make(), token, { actor, scopes: [...new Set(scopes)].sort(), botId: null })
        }),
        createForBot: Effect.fn("ServiceTokens.createForBot")((actor, botId, token) =>
          make(botSecrets.make(), token, { actor, scopes: [], botId })
        ),
        list: Effect.fn("ServiceTokens.list")(function* (page) {
          yield* checkLimit(page, limits.pageSize)
          const below = page.cursor === undefined ? undefined : yield* cursor.decode(page.cursor)
          const rows = yield* storage.list(below, page.limit + 1)
          return pageOf(rows, page.limit, rows.slice(0, page.limit).map(toToken), ({ id }) => cursor.encode(id))
        }),
        revoke: Effect.fn("ServiceTokens.revoke")(function* (actor, id) {
          if (!(yield* storage.delete(id, actor)))
            return yield* new NotFound({ detail: "There is no such service token" })
          // Has all nodes look at who acts with it.
          yield* pubSub.publish(sessionsSubject, [sessionsEnded([], false)])
        }),
        authenticate: Effect.fn("ServiceTokens.authenticate")(function* (token) {
          const { expiresAt, scopes, tokenId } = yield* use(secrets.hashOf(token))
          return { tokenId, scopes, expiresAt }
        }),
        authenticateBot: Effect.fn("ServiceTokens.authenticateBot")(function* (token) {
          const { botId, expiresAt, tokenId } = yield* use(botSecrets.hashOf(token))
          return botId === null ? yield* invalid : { tokenId, botId, expiresAt }
        })
      })
    })
  )
}
