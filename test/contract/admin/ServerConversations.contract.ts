import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { ExternalId, ExternalKey } from "../../../src/domain/ExternalId.ts"
import { ServiceTokenId, type UserId } from "../../../src/domain/Ids.ts"
import type { ServerGroup } from "../../../src/domain/ServerConversation.ts"
import { Audit } from "../../../src/services/admin/Audit.ts"
import { ConversationAdmin } from "../../../src/services/admin/ConversationAdmin.ts"
import { ServerConversations } from "../../../src/services/admin/ServerConversations.ts"
import { ServerUsers } from "../../../src/services/admin/ServerUsers.ts"
import { Blocks } from "../../../src/services/conversations/Blocks.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { Members } from "../../../src/services/conversations/Members.ts"
import { Users } from "../../../src/services/identity/Users.ts"
import { Log } from "../../../src/services/log/Log.ts"
import { outcome, people, refused } from "../../support/Chat.ts"
import type { Operators } from "../../support/Operators.ts"

const program = ServiceTokenId.make("00000000-0000-7000-8000-00000000000b")
let made = 0
const newKey = () => ExternalKey.make(`order ${++made}/ü`)
const unknownUser = "00000000-0000-7000-8000-000000000000"

const put = (key: ExternalKey, group: Partial<ServerGroup> = {}) =>
  ServerConversations.use((groups) => groups.upsert(program, key, { title: "Order", ...group }))

const eventsOf = Effect.fnUntraced(function* (key: ExternalKey, after = 0) {
  const { id, seq } = yield* ServerConversations.use((groups) => groups.get(key))
  return (yield* Log.use((log) => log.range(id, after, seq))).map(({ actorId, event }) => [event, actorId])
})

const rolesOf = Effect.fnUntraced(function* (key: ExternalKey, reader: UserId) {
  const { id } = yield* ServerConversations.use((groups) => groups.get(key))
  const { items } = yield* Members.use((members) => members.list(reader, id, { limit: 100 }))
  return new Map(items.map(({ role, user }) => [user.id, role]))
})

/** The behaviour that every implementation of ServerConversations must have. */
export const serverConversationsContract = <E>(layer: Layer.Layer<Operators, E>) => {
  withLayer(layer)("ServerConversations", (it) => {
    it.effect("are made once, and repeating that changes nothing", () =>
      Effect.gen(function* () {
        const [a = assert.fail(), b = assert.fail()] = yield* people(2)
        const externalId = ExternalId.make(`in ${newKey()}`)
        const [c = assert.fail()] = yield* ServerUsers.use((users) =>
          users.upsert(`token:${program}`, [{ externalId }])
        )
        const key = newKey()
        const group = { memberIds: [a, `ext:${externalId}`, b, a], avatarUrl: "https://example.com/1.png" }
        const first = yield* put(key, group)
        assert.deepInclude(first, {
          ...{ externalKey: key, title: "Order", avatarUrl: group.avatarUrl },
          ...{ createdBy: a, seq: 1, memberCount: 3 }
        })
        assert.deepStrictEqual(yield* put(key, group), first)
        assert.deepStrictEqual(yield* put(key), first)
        assert.deepStrictEqual(
          yield* rolesOf(key, b),
          new Map([
            [a, "owner"],
            [b, "member"],
            [c.id, "member"]
          ])
        )
        assert.isTrue((yield* Conversations.use((all) => all.get(b, first.id))).me.joinedSeq === 1)
        const { items } = yield* Audit.use((audit) => audit.list({ limit: 1 }))
        assert.deepInclude(items[0], {
          act: "server.upsertConversation",
          target: { kind: "conversation", id: first.id },
          detail: { externalKey: key, created: true, joined: 3, left: 0 }
        })
        assert.notStrictEqual((yield* put(newKey(), group)).id, first.id)
      })
    )

    it.effect("become what is put, with an event for each change", () =>
      Effect.gen(function* () {
        const [a = assert.fail(), b = assert.fail(), c = assert.fail(), d = assert.fail()] = yield* people(4)
        const key = newKey()
        yield* put(key, { memberIds: [a, b, c] })
        const changed = yield* put(key, { title: "Order, paid", memberIds: [d, c, a] })
        assert.deepInclude(changed, { title: "Order, paid", seq: 4, memberCount: 3 })
        assert.deepStrictEqual(yield* eventsOf(key, 1), [
          ["member.joined", a],
          ["conversation.updated", a],
          ["member.left", a]
        ])
        assert.strictEqual(yield* outcome(Conversations.use((all) => all.get(b, changed.id))), "NotFound")
        // Who is put back, and an owner who goes.
        yield* put(key, { title: "Order, paid", memberIds: [d, b] })
        assert.deepStrictEqual(yield* eventsOf(key, 4), [
          ["member.joined", a],
          ["member.left", a],
          ["member.role-changed", a],
          ["member.left", a]
        ])
        assert.deepStrictEqual(
          yield* rolesOf(key, d),
          new Map([
            [d, "owner"],
            [b, "member"]
          ])
        )
        yield* put(key, { title: "Order, paid", memberIds: [d, b] })
        assert.lengthOf(yield* eventsOf(key, 8), 0)
        const { items } = yield* Audit.use((audit) => audit.list({ limit: 1 }))
        assert.deepInclude(items[0]?.detail, { created: false, joined: 1, left: 2 })
      })
    )

    it.effect("open again for new members when all have left", () =>
      Effect.gen(function* () {
        const [a = assert.fail(), b = assert.fail(), c = assert.fail()] = yield* people(3)
        const key = newKey()
        const { id } = yield* put(key, { memberIds: [a] })
        yield* Members.use((members) => members.leave(a, id))
        assert.strictEqual(yield* refused(put(key)), "memberIds")
        yield* put(key, { memberIds: [b, c] })
        assert.deepStrictEqual(
          yield* rolesOf(key, c),
          new Map([
            [b, "owner"],
            [c, "member"]
          ])
        )
        yield* ConversationAdmin.use((admin) => admin.delete("cli:ann", id))
        assert.strictEqual(yield* outcome(ServerConversations.use((groups) => groups.get(key))), "NotFound")
        assert.notStrictEqual((yield* put(key, { memberIds: [b] })).id, id)
      })
    )

    it.effect("hold users whatever these have against it, and none who do not exist", () =>
      Effect.gen(function* () {
        const [a = assert.fail(), b = assert.fail(), c = assert.fail()] = yield* people(3)
        yield* Blocks.use((blocks) => blocks.add(b, a))
        yield* Users.use((users) => users.update(c, { whoMayAddMe: "contacts" }))
        const key = newKey()
        assert.strictEqual(yield* refused(put(key)), "memberIds")
        assert.strictEqual(yield* outcome(put(key, { memberIds: [a, unknownUser] })), "NotFound")
        assert.strictEqual(yield* outcome(put(key, { memberIds: [a, "ext:nobody"] })), "NotFound")
        for (const nobody of ["ann", "ext:", ""])
          assert.strictEqual(yield* refused(put(key, { memberIds: [a, nobody] })), "memberIds")
        assert.strictEqual(yield* refused(put(key, { title: "x".repeat(201), memberIds: [a] })), "title")
        assert.strictEqual(yield* outcome(ServerConversations.use((groups) => groups.get(key))), "NotFound")
        yield* put(key, { memberIds: [a, b] })
        const changed = put(key, { title: "Another", memberIds: [a, b, c, unknownUser] })
        assert.strictEqual(yield* outcome(changed), "NotFound")
        assert.lengthOf(yield* eventsOf(key, 1), 0)
        assert.strictEqual((yield* put(key, { memberIds: [a, b, c] })).memberCount, 3)
      })
    )

    it.effect("are made by one of those who make them at the same time", () =>
      Effect.gen(function* () {
        const members = yield* people(3)
        const key = newKey()
        const groups = yield* Effect.all(
          Array.from({ length: 8 }, () => put(key, { memberIds: members })),
          { concurrency: 8 }
        )
        assert.strictEqual(new Set(groups.map(({ id }) => id)).size, 1)
        assert.lengthOf(yield* eventsOf(key), 1)
      })
    )
  })
}
