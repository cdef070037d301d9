import { assert, layer as withLayer } from "@effect/vitest"
import { Array as Arr, Effect, type Layer, Result } from "effect"
import { UserId } from "../../../src/domain/Ids.ts"
import { PubSub } from "../../../src/services/bus/PubSub.ts"
import { presenceSubject, userSubject } from "../../../src/services/bus/Subjects.ts"
import { Users } from "../../../src/services/identity/Users.ts"
import { type AccountServices, someone } from "../../support/Accounts.ts"

const nobody = UserId.make("00000000-0000-7000-8000-000000000000")

const outcome = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.match(effect, { onFailure: (error) => error._tag, onSuccess: () => "ok" })

/** The contract of every Layer of Users. */
export const usersContract = <E>(layer: Layer.Layer<AccountServices, E>) => {
  withLayer(layer)("Users", (it) => {
    it.effect("registers, and shows the e-mail address to its user alone", () =>
      Effect.gen(function* () {
        const users = yield* Users
        const person = { ...someone(), avatarUrl: "https://example.com/a.png" }
        const me = yield* users.register(person)
        const { email, whoMayAddMe, ...user } = me
        assert.deepStrictEqual([email, whoMayAddMe], [person.email, "everybody"])
        assert.deepStrictEqual(Object.keys(user).sort(), [
          "avatarUrl",
          "createdAt",
          "displayName",
          "id",
          "kind",
          "username"
        ])
        assert.strictEqual(user.avatarUrl, person.avatarUrl)
        assert.match(user.createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
        assert.deepStrictEqual(yield* users.me(me.id), me)
        assert.deepStrictEqual(yield* users.get(me.id), user)
      })
    )

    it.effect("refuses an e-mail address or a username that is taken, in any case", () =>
      Effect.gen(function* () {
        const users = yield* Users
        const first = someone()
        yield* users.register({ ...first, email: first.email.replace("user", "Üser") })
        const sameEmail = yield* Effect.flip(
          users.register({ ...someone(), email: first.email.replace("user", "üSER") })
        )
        assert.deepInclude(sameEmail, { _tag: "Conflict", code: "email-taken" })
        const sameName = yield* Effect.flip(users.register({ ...someone(), username: first.username }))
        assert.deepInclude(sameName, { _tag: "Conflict", code: "username-taken" })
      })
    )

    it.effect("gives a username to exactly one of many concurrent registrations", () =>
      Effect.gen(function* () {
        const users = yield* Users
        const { username } = someone()
        const outcomes = yield* Effect.forEach(
          Arr.range(1, 12),
          () => outcome(users.register({ ...someone(), username })),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(outcomes.sort(), [...Arr.replicate("Conflict", 11), "ok"])
      })
    )

    it.effect("names each invalid field", () =>
      Effect.gen(function* () {
        const users = yield* Users
        const paths = (change: object) =>
          Effect.map(Effect.flip(users.register({ ...someone(), ...change })), (error) =>
            error._tag === "InvalidRequest" ? error.errors?.map(({ path }) => path) : error._tag
          )
        assert.deepStrictEqual(yield* paths({ username: "ab", password: "short" }), ["username", "password"])
        assert.deepStrictEqual(yield* paths({ username: "a".repeat(33) }), ["username"])
        assert.deepStrictEqual(yield* paths({ password: "x".repeat(129) }), ["password"])
        for (const character of ["é".normalize("NFD"), "😀"]) {
          assert.isString((yield* users.register({ ...someone(), password: `${character.repeat(127)}!` })).id)
        }
        for (const password of ["eeeeeeee", " ".repeat(8), "12345678", "abcdefgh", "Password1", "\ufdfa"])
          assert.deepStrictEqual(yield* paths({ password }), ["password"], password)
        for (const username of ["all", "channel", "everyone", "here", "system"])
          assert.deepStrictEqual(yield* paths({ username }), ["username"], username)
      })
    )

    it.effect("gives each reason a code, and a length its bounds", () =>
      Effect.gen(function* () {
        const users = yield* Users
        const reason = (username: string, password: string) =>
          Effect.map(Effect.flip(users.register({ ...someone(), username, password })), (error) =>
            error._tag === "InvalidRequest" ? error.errors?.map(({ message: _, ...issue }) => issue) : error._tag
          )
        assert.deepStrictEqual(yield* reason("ab", "short"), [
          { path: "username", code: "length", min: 3, max: 32 },
          { path: "password", code: "length", min: 8, max: 128 }
        ])
        assert.deepStrictEqual(yield* reason("system", "abababab"), [
          { path: "username", code: "reserved" },
          { path: "password", code: "repetition" }
        ])
        assert.deepStrictEqual(yield* reason("somebody", "abcdefgh"), [{ path: "password", code: "sequence" }])
        assert.deepStrictEqual(yield* reason("somebody", "Password1"), [{ path: "password", code: "common" }])
      })
    )

    it.effect("limits the registrations of an address", () =>
      Effect.gen(function* () {
        const users = yield* Users
        const at = (ip: string) => outcome(users.register({ ...someone(), ip }))
        const outcomes = yield* Effect.forEach(Arr.range(1, 121), (n) => at(`2001:db8::${n}`))
        assert.deepStrictEqual(outcomes, [...Arr.replicate("ok", 120), "RateLimited"], "a /64 is one address")
        assert.strictEqual(yield* at("2001:db8:0:1::1"), "ok")
      })
    )

    it.effect("changes only the fields that are given", () =>
      Effect.gen(function* () {
        const users = yield* Users
        const me = yield* users.register({ ...someone(), avatarUrl: "https://example.com/a.png" })
        const renamed = yield* users.update(me.id, { displayName: "Zoë Renamed" })
        assert.deepStrictEqual(renamed, { ...me, displayName: "Zoë Renamed" })
        assert.deepStrictEqual(yield* users.update(me.id, { avatarUrl: null }), { ...renamed, avatarUrl: null })
        assert.deepStrictEqual(yield* users.update(me.id, {}), { ...renamed, avatarUrl: null })
        const { items } = yield* users.search({ query: "ZOË R", viewerId: me.id, limit: 10 })
        assert.deepStrictEqual(
          items.map(({ id }) => id),
          [me.id]
        )
      })
    )

    it.effect(
      "tells a changed profile to those who watch the user and to the user's devices, in two publications",
      () =>
        Effect.gen(function* () {
          const users = yield* Users
          const pubsub = yield* PubSub
          const { email: _, whoMayAddMe: __, ...user } = yield* users.register(someone())
          const told: Array<unknown> = []
          for (const subject of [presenceSubject(user.id), userSubject(user.id)])
            yield* pubsub.subscribe(subject, (events) => told.push(...events.map(({ json }) => JSON.parse(json))))
          yield* users.update(user.id, { displayName: "Zoë" })
          yield* users.update(user.id, { displayName: "Zoë", whoMayAddMe: "contacts" })
          const event = { event: "user.updated", data: { user: { ...user, displayName: "Zoë" } } }
          assert.deepStrictEqual(told, [event, event])
        })
    )

    it.effect("shows several profiles at once, each once and in their order", () =>
      Effect.gen(function* () {
        const users = yield* Users
        const one = yield* users.register(someone())
        const other = yield* users.register(someone())
        const seen = yield* users.lookAt(one.id, [other.id, nobody, one.id, other.id])
        assert.deepStrictEqual(seen, [yield* users.get(other.id), yield* users.get(one.id)])
      })
    )

    it.effect("finds no user under an unknown id", () =>
      Effect.gen(function* () {
        const users = yield* Users
        const me = yield* users.register(someone())
        const other = yield* users.register(someone())
        for (const call of [users.get(nobody), users.me(nobody), users.update(nobody, { displayName: "x" })]) {
          assert.strictEqual(yield* outcome(call), "NotFound")
        }
        const many = yield* users.getMany([other.id, nobody, me.id])
        assert.deepStrictEqual(
          many.map(({ id }) => id),
          [other.id, me.id]
        )
        assert.deepStrictEqual(yield* users.getMany([]), [])
      })
    )

    it.effect("finds usernames first, then display names, page by page", () =>
      Effect.gen(function* () {
        const users = yield* Users
        const make = (username: string, displayName: string) => users.register({ ...someone(), username, displayName })
        for (const [username, displayName] of [
          ["find-b", "Xavier"],
          ["find-a", "find nobody"],
          ["zz-last", "FIND beta"],
          ["zz-first", "Find Alpha"],
          ["zz-same", "find alpha"],
          ["find_c", "Yves"],
          ["finx", "Zacharias"]
        ] as const) {
          yield* make(username, displayName)
        }
        const all: Array<string> = []
        let cursor: string | undefined
        do {
          const page = yield* users.search({
            query: "FiNd",
            viewerId: nobody,
            limit: 2,
            ...(cursor !== undefined && { cursor })
          })
          assert.isAtMost(page.items.length, 2)
          all.push(...page.items.map(({ username }) => username))
          cursor = page.nextCursor
        } while (cursor !== undefined)
        assert.deepStrictEqual(all, ["find-a", "find-b", "find_c", "zz-first", "zz-same", "zz-last"])
      })
    )

    it.effect("searches for wildcards literally", () =>
      Effect.gen(function* () {
        const users = yield* Users
        yield* users.register({ ...someone(), username: "wild_card", displayName: "100% Wild" })
        yield* users.register({ ...someone(), username: "wildxcard", displayName: "1000 Wild" })
        const found = (query: string) =>
          Effect.map(users.search({ query, viewerId: nobody, limit: 10 }), ({ items }) =>
            items.map(({ username }) => username)
          )
        assert.deepStrictEqual(yield* found("wild_"), ["wild_card"])
        assert.deepStrictEqual(yield* found("100%"), ["wild_card"])
        for (const query of ["%wild", "_ild", "\\", "'; --", "wild\u{10FFFF}"]) {
          assert.deepStrictEqual(yield* found(query), [], query)
        }
      })
    )

    it.effect("refuses a cursor of another list, a wrong limit and malformed text", () =>
      Effect.gen(function* () {
        const users = yield* Users
        const path = (request: { readonly query?: string; readonly limit?: number; readonly cursor?: string }) =>
          Effect.map(Effect.result(users.search({ query: "a", viewerId: nobody, limit: 10, ...request })), (result) =>
            Result.isFailure(result) && result.failure._tag === "InvalidRequest"
              ? result.failure.errors?.[0]?.path
              : "ok"
          )
        const other = Buffer.from(JSON.stringify({ byName: 2, name: "a" })).toString("base64url")
        const nul = Buffer.from(JSON.stringify({ byName: 0, name: "\0", username: "\0" })).toString("base64url")
        for (const cursor of ["", "%%%", "bm90IGpzb24", other, nul, "null"]) {
          assert.strictEqual(yield* path({ cursor }), "cursor", cursor)
        }
        for (const limit of [0, 201, Number.NaN]) assert.strictEqual(yield* path({ limit }), "limit")
        for (const query of ["a\0", "\ud800"]) assert.strictEqual(yield* path({ query }), "query")
        assert.strictEqual(yield* path({ limit: 200 }), "ok")
      })
    )
  })
}
