import { assert, layer as withLayer } from "@effect/vitest"
import { DateTime, Effect, type Layer } from "effect"
import { TestClock } from "effect/testing"
import { ServiceTokenId } from "../../../src/domain/Ids.ts"
import type { NewServiceToken } from "../../../src/domain/ServiceToken.ts"
import { Audit } from "../../../src/services/admin/Audit.ts"
import { ServiceTokens } from "../../../src/services/admin/ServiceTokens.ts"
import { outcome, refused } from "../../support/Chat.ts"
import type { Operators } from "../../support/Operators.ts"

const actor = "cli:ann"

const make = (token: Partial<NewServiceToken> = {}) =>
  ServiceTokens.use((tokens) => tokens.create(actor, { name: "a token", scopes: ["admin"], ...token }))
const use = (token: string) => ServiceTokens.use((tokens) => outcome(tokens.authenticate(token)))
const found = (id: ServiceTokenId) =>
  ServiceTokens.use((tokens) =>
    Effect.map(tokens.list({ limit: 100 }), ({ items }) => items.find((token) => token.id === id))
  )
const newestLine = Audit.use((audit) => Effect.map(audit.list({ limit: 1 }), ({ items }) => items[0]))

/** The behaviour that every implementation of ServiceTokens and Audit must have. */
export const serviceTokensContract = <E>(layer: Layer.Layer<Operators, E>) => {
  withLayer(layer)("ServiceTokens", (it) => {
    it.effect("are shown once, and name their holder", () =>
      Effect.gen(function* () {
        const tokens = yield* ServiceTokens
        const { token, ...made } = yield* make({ name: "billing", scopes: ["tokens", "admin", "admin"] })
        assert.match(token, /^cst_[0-9A-Za-z]{46}$/)
        assert.deepInclude(made, { name: "billing", scopes: ["admin", "tokens"], createdBy: actor, lastUsedAt: null })
        assert.deepStrictEqual(yield* found(made.id), made)
        assert.deepStrictEqual(yield* tokens.authenticate(token), {
          tokenId: made.id,
          scopes: ["admin", "tokens"],
          expiresAt: null
        })
        assert.notStrictEqual((yield* make()).token, token)
      })
    )

    it.effect("are refused when they have a wrong character, are cut off or unknown", () =>
      Effect.gen(function* () {
        const { token } = yield* make()
        const swapped = token.endsWith("a") ? "b" : "a"
        for (const wrong of ["", "cst_", token.slice(0, -1), token.slice(0, -1) + swapped, `${token}a`, `x${token}`])
          assert.strictEqual(yield* use(wrong), "token-invalid")
      })
    )

    it.effect("end when they are revoked, and when they expire", () =>
      Effect.gen(function* () {
        const tokens = yield* ServiceTokens
        const { id, token } = yield* make()
        assert.strictEqual(yield* use(token), "ok")
        yield* tokens.revoke(actor, id)
        assert.strictEqual(yield* use(token), "token-invalid")
        assert.isUndefined(yield* found(id))
        assert.strictEqual(yield* outcome(tokens.revoke(actor, id)), "NotFound")
        const nobody = ServiceTokenId.make("00000000-0000-7000-8000-000000000000")
        assert.strictEqual(yield* outcome(tokens.revoke(actor, nobody)), "NotFound")

        const brief = yield* make({ expiresInSeconds: 60 })
        assert.strictEqual(Date.parse(brief.expiresAt ?? "") - Date.parse(brief.createdAt), 60_000)
        yield* TestClock.adjust("59 seconds")
        assert.strictEqual(yield* use(brief.token), "ok")
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* use(brief.token), "token-expired")
      })
    )

    it.effect("remember their last use to the minute", () =>
      Effect.gen(function* () {
        const { id, token } = yield* make()
        const used = Effect.map(found(id), (token) => token?.lastUsedAt)
        const first = DateTime.formatIso(yield* DateTime.now)
        yield* use(token)
        assert.strictEqual(yield* used, first)
        yield* TestClock.adjust("59 seconds")
        yield* use(token)
        assert.strictEqual(yield* used, first)
        yield* TestClock.adjust("2 seconds")
        yield* use(token)
        assert.strictEqual(yield* used, DateTime.formatIso(yield* DateTime.now))
      })
    )

    it.effect("give no scope that their maker does not have", () =>
      Effect.gen(function* () {
        const tokens = yield* ServiceTokens
        const make = (granted: ReadonlyArray<string>) =>
          outcome(tokens.create(actor, { name: "more", scopes: ["admin", "tokens"] }, granted))
        const before = yield* newestLine
        assert.strictEqual(yield* make(["tokens"]), "Forbidden")
        assert.deepStrictEqual(yield* newestLine, before)
        assert.strictEqual(yield* make(["audit", "tokens", "admin"]), "ok")
      })
    )

    it.effect("are listed page by page, the newest first", () =>
      Effect.gen(function* () {
        const tokens = yield* ServiceTokens
        const made = yield* Effect.replicateEffect(make(), 3)
        const { items: all } = yield* tokens.list({ limit: 100 })
        const ids = all.map(({ id }) => id)
        assert.includeMembers(
          ids,
          made.map(({ id }) => id)
        )
        assert.deepStrictEqual(ids, ids.toSorted().toReversed())
        const first = yield* tokens.list({ limit: 2 })
        const second = yield* tokens.list({ limit: 1, cursor: first.nextCursor })
        assert.deepStrictEqual([...first.items, ...second.items], all.slice(0, 3))
        assert.strictEqual(yield* refused(tokens.list({ limit: 0 })), "limit")
        assert.strictEqual(yield* refused(tokens.list({ limit: 1, cursor: "?" })), "cursor")
      })
    )
  })

  withLayer(layer)("Audit", (it) => {
    it.effect("has a line for each act, and none for what was refused", () =>
      Effect.gen(function* () {
        const audit = yield* Audit
        const tokens = yield* ServiceTokens
        const { id, token } = yield* make({ name: "short", expiresInSeconds: 60 })
        yield* use(token)
        yield* tokens.revoke(`token:${id}`, id)
        yield* outcome(tokens.revoke(actor, id))
        const { items } = yield* audit.list({ limit: 10 })
        assert.deepStrictEqual(
          items.map(({ act, actor, target }) => ({ act, actor, target })),
          [
            { act: "token.revoke", actor: `token:${id}`, target: { kind: "token", id } },
            { act: "token.create", actor, target: { kind: "token", id } }
          ]
        )
        const [revoked, created] = items
        assert.deepStrictEqual(revoked?.detail, { name: "short" })
        assert.deepInclude(created?.detail, { name: "short", scopes: ["admin"] })
        assert.isString(created?.detail.expiresAt)
        assert.notInclude(JSON.stringify(items), token)
      })
    )

    it.effect("is read page by page, the newest first", () =>
      Effect.gen(function* () {
        const audit = yield* Audit
        for (const name of ["1", "2", "3", "4"]) yield* make({ name })
        const first = yield* audit.list({ limit: 3 })
        const second = yield* audit.list({ limit: 1, cursor: first.nextCursor })
        assert.deepStrictEqual(
          [...first.items, ...second.items].map(({ detail }) => detail.name),
          ["4", "3", "2", "1"]
        )
        assert.strictEqual(yield* refused(audit.list({ limit: 0 })), "limit")
        assert.strictEqual(yield* refused(audit.list({ limit: 1, cursor: "?" })), "cursor")
      })
    )
  })
}
