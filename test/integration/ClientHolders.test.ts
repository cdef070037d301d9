import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Layer, Scope } from "effect"
import { Chat } from "../../src/client/Chat.ts"
import { Credentials } from "../../src/client/Credentials.ts"
import type { TokenStorage } from "../../src/client/credentials/Holders.ts"
import { makeHttp } from "../../src/client/Http.ts"
import type { Tokens } from "../../src/client/Plain.ts"
import { TestService } from "../../src/testing/TestService.ts"

/** A storage that two processes share: each client gets the tokens that were saved last. */
const storageOf = (first: Tokens) => {
  const saved = [first]
  let held = false
  const storage: TokenStorage = {
    load: () => saved.at(-1),
    save: async (tokens) => {
      saved.push(tokens)
    },
    lock: async () => {
      assert.isFalse(held)
      held = true
      return () => {
        held = false
      }
    }
  }
  return { saved, storage, isHeld: () => held }
}

/** Credentials in a scope of their own. Its end is like the end of a process. */
const holder = (tokens: Tokens, storage?: TokenStorage) =>
  Effect.gen(function* () {
    const { url } = yield* TestService
    const scope = yield* Scope.make()
    const built = yield* Layer.buildWithScope(Credentials.layer({ url, tokens, storage }), scope)
    return { ...(yield* Effect.provide(Credentials, built)), scope }
  })

layer(TestService.layer({ limits: { refreshesPerMinute: 1 } }), { excludeTestServices: true })("a renewal", (it) => {
  it.effect("that is refused for a time fails the call with that, and not with the refusal of the old token", () =>
    Effect.gen(function* () {
      const { signIn, url } = yield* TestService
      const tokens = yield* signIn("hasty")
      const clientOf = (tokens: Tokens) => makeHttp(url).pipe(Effect.provide(Credentials.layer({ url, tokens })))
      const expired = { ...tokens, accessToken: "expired" }
      assert.strictEqual((yield* (yield* clientOf(expired)).user.me()).username, "hasty")
      const again = yield* Effect.flip((yield* clientOf(expired)).user.me())
      assert.strictEqual(again._tag, "RateLimited")
    }).pipe(Effect.scoped)
  )
})

layer(TestService.layer({ jwt: { expiration: 4000 } }), { excludeTestServices: true })(
  "several clients of one stored session",
  (it) => {
    it.effect("in one process renew once, and each gets the new token", () =>
      Effect.gen(function* () {
        const { signIn } = yield* TestService
        const tokens = yield* signIn("two-holders")
        const clients = yield* Effect.all([holder(tokens), holder(tokens), holder(tokens)])
        const renewed = yield* Effect.forEach(clients, (one) => one.renewed(tokens.accessToken), {
          concurrency: "unbounded"
        })
        assert.strictEqual(new Set(renewed).size, 1)
        assert.notStrictEqual(renewed[0], tokens.accessToken)
        // The use of the new token makes the old refresh token invalid, so nobody may present that again.
        const seen = [tokens.accessToken, ...renewed.slice(0, 1)]
        for (const one of clients) {
          const next = yield* one.renewed(yield* one.token)
          assert.notInclude(seen, next)
          seen.push(next)
        }
        // A client that is made with the first pair gets the latest one.
        const late = yield* holder(tokens)
        assert.strictEqual(yield* late.token, seen.at(-1))
      })
    )

    it.effect("in several processes take over the pair that another one has stored", () =>
      Effect.gen(function* () {
        const { signIn } = yield* TestService
        const tokens = yield* signIn("two-processes")
        const { isHeld, saved, storage } = storageOf(tokens)
        const first = yield* holder(tokens, storage)
        const renewed = yield* first.renewed(tokens.accessToken)
        assert.deepStrictEqual(
          saved.map(({ accessToken }) => accessToken),
          [tokens.accessToken, renewed]
        )
        yield* Scope.close(first.scope, yield* Effect.exit(Effect.void))
        // This process has forgotten the renewal, as another process would not know it.
        const second = yield* holder(tokens, storage)
        assert.strictEqual(yield* second.token, tokens.accessToken)
        assert.strictEqual(yield* second.renewed(tokens.accessToken), renewed)
        assert.strictEqual(saved.length, 2, "it was taken over, not renewed")
        const again = yield* second.renewed(renewed)
        assert.strictEqual(saved.at(-1)?.accessToken, again)
        assert.isFalse(isHeld())
      })
    )

    it.effect("a storage that fails does not end the session", () =>
      Effect.gen(function* () {
        const { signIn } = yield* TestService
        const tokens = yield* signIn("full-disk")
        const { storage } = storageOf(tokens)
        let full = true
        const failing: TokenStorage = {
          ...storage,
          save: (renewed) => (full ? Promise.reject(new Error("no space left")) : storage.save(renewed))
        }
        const client = yield* holder(tokens, failing)
        assert.strictEqual((yield* Effect.flip(client.renewed(tokens.accessToken)))._tag, "ConnectionLost")
        full = false
        assert.notStrictEqual(yield* client.renewed(tokens.accessToken), tokens.accessToken)
      })
    )

    it.effect("stay online when their token is renewed", () =>
      Effect.gen(function* () {
        const { signIn, url } = yield* TestService
        const tokens = yield* signIn("two-chats")
        const renewals = yield* Deferred.make<void>()
        let count = 0
        const chats = yield* Effect.forEach([1, 2], () =>
          Effect.acquireRelease(
            Effect.sync(
              () =>
                new Chat({
                  url,
                  tokens,
                  onRenewed: () => {
                    if (++count === 4) Deferred.doneUnsafe(renewals, Effect.void)
                  }
                })
            ),
            (chat) => Effect.promise(() => chat.close())
          )
        )
        yield* Deferred.await(renewals)
        for (const chat of chats) {
          assert.strictEqual((yield* Effect.promise(() => chat.ask("user.me", undefined))).username, "two-chats")
          assert.strictEqual(chat.state.connection.status, "online")
        }
      }).pipe(Effect.scoped)
    )
  }
)
