import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer, Schema, Stream } from "effect"
import { Emoji } from "../../../src/domain/Emoji.ts"
import { UserId } from "../../../src/domain/Ids.ts"
import { AccountExport } from "../../../src/services/admin/AccountExport.ts"
import { Audit } from "../../../src/services/admin/Audit.ts"
import { ConversationAdmin } from "../../../src/services/admin/ConversationAdmin.ts"
import { Blocks } from "../../../src/services/conversations/Blocks.ts"
import { Members } from "../../../src/services/conversations/Members.ts"
import { Attachments } from "../../../src/services/files/Attachments.ts"
import { Sessions } from "../../../src/services/identity/Sessions.ts"
import { Users } from "../../../src/services/identity/Users.ts"
import { Drafts } from "../../../src/services/messages/Drafts.ts"
import { MessageChanges } from "../../../src/services/messages/MessageChanges.ts"
import { Polls } from "../../../src/services/messages/Polls.ts"
import { Reactions } from "../../../src/services/messages/Reactions.ts"
import { ScheduledMessages } from "../../../src/services/messages/ScheduledMessages.ts"
import { Stars } from "../../../src/services/messages/Stars.ts"
import { signedIn } from "../../support/Accounts.ts"
import { dmOf, groupOf, outcome, people, post } from "../../support/Chat.ts"
import { png } from "../../support/Files.ts"
import type { Operators } from "../../support/Operators.ts"
import { Time } from "../../support/Time.ts"

const actor = "cli:ann"
const emoji = Schema.decodeSync(Emoji)

const exported = (userId: UserId) =>
  AccountExport.use((exports) => Effect.flatMap(exports.open(actor, userId), Stream.runCollect))

/** The behaviour that every implementation of AccountExport must have. */
export const accountExportContract = <E>(layer: Layer.Layer<Operators, E>) => {
  withLayer(layer)("AccountExport", (it) => {
    it.effect("has what is the user's, and nothing of others", () =>
      Effect.gen(function* () {
        const [a = assert.fail(), b = assert.fail()] = yield* people(2)
        const [dm, left, others] = [yield* dmOf(a, b), yield* groupOf(b, a), yield* groupOf(b)]
        const file = yield* Attachments.use(({ upload }) => upload(a, "photo.png", Stream.make(png)))
        const mine = yield* post(dm, a, { body: "mine", attachments: [file.id] })
        yield* post(dm, b, { body: "theirs" })
        const payload = { question: "deleted", options: ["x", "y"] }
        const gone = yield* post(dm, a, { type: "poll", body: "deleted", payload })
        yield* Polls.use((polls) => polls.vote(a, dm, gone.id, [0]))
        yield* Reactions.use((reactions) => reactions.add(a, dm, gone.id, emoji("👍")))
        yield* MessageChanges.use((changes) => changes.delete(a, dm, gone.id))
        const edited = yield* post(left, a, { body: "first" })
        yield* MessageChanges.use((changes) => changes.edit(a, left, edited.id, { body: "edited" }))
        yield* Members.use((members) => members.leave(a, left))
        yield* post(others, b, { body: "elsewhere" })
        yield* Drafts.use((drafts) => drafts.set(a, dm, { body: "drafted" }))
        yield* Drafts.use((drafts) => drafts.set(b, dm, { body: "their draft" }))
        const sendAt = new Date((yield* (yield* Time).now).getTime() + 3_600_000)
        const scheduled = yield* ScheduledMessages.use((service) =>
          service.create(a, { conversationId: dm, sendAt, body: "later" })
        )
        const deleted = yield* groupOf(a)
        yield* post(deleted, a, { body: "deleted with its conversation" })
        yield* ConversationAdmin.use((conversations) => conversations.delete(actor, deleted))
        const poll = yield* post(dm, b, {
          type: "poll",
          body: "their question",
          payload: { question: "their question", options: ["x", "y"], multiple: true }
        })
        yield* Polls.use((polls) => polls.vote(a, dm, poll.id, [0, 1]))
        for (const each of ["👍", "🎉"]) yield* Reactions.use((reactions) => reactions.add(a, dm, mine.id, emoji(each)))
        yield* Reactions.use((reactions) => reactions.add(b, dm, mine.id, emoji("😀")))
        yield* Stars.use((stars) => stars.add(a, dm, poll.id))
        const hidden = yield* post(dm, b, { body: "hidden from a" })
        yield* MessageChanges.use((changes) => changes.hide(a, dm, hidden.id))
        yield* Blocks.use((blocks) => blocks.add(a, b))
        const me = yield* Users.use((users) => users.me(a))

        const lines = yield* exported(a)
        const of = (id: string) =>
          lines.find((line) => line.kind === "conversation" && line.data.id === id) ?? assert.fail(id)
        assert.deepStrictEqual(lines[0], { kind: "profile", data: { ...me, disabledAt: null, team: null } })
        assert.deepStrictEqual(lines.at(-1), { kind: "end" })
        assert.deepStrictEqual(
          lines.flatMap((line) => (line.kind === "message" ? line.data.attachments : [])),
          [file]
        )
        assert.deepInclude(of(dm), { kind: "conversation" })
        assert.deepStrictEqual(
          lines.flatMap((line) =>
            line.kind === "conversation" ? [[line.data.id, line.data.left, line.data.role, line.data.notify]] : []
          ),
          [
            [dm, false, "member", "all"],
            [left, true, "member", "all"]
          ].toSorted(([one = ""], [other = ""]) => (String(one) < String(other) ? -1 : 1))
        )
        assert.deepStrictEqual(
          lines.flatMap((line) =>
            line.kind === "message" ? [[line.data.conversationId, line.data.id, line.data.body]] : []
          ),
          [
            [dm, mine.id, "mine"],
            [left, edited.id, "edited"]
          ].toSorted(([one = ""], [other = ""]) => (one < other ? -1 : 1))
        )
        assert.deepStrictEqual(
          lines.flatMap((line) => (line.kind === "draft" ? [line.data] : [])),
          (yield* Drafts.use((drafts) => drafts.list(a, { limit: 10 }))).items
        )
        assert.deepStrictEqual(
          lines.flatMap((line) => (line.kind === "scheduled-message" ? [line.data] : [])),
          [scheduled]
        )
        assert.deepStrictEqual(
          lines
            .flatMap((line) => (line.kind === "message" ? [line.data.revisions.map(({ body }) => body)] : []))
            .flat(),
          ["first"]
        )
        const nothing = { conversationId: dm, starred: false, hidden: false, reactions: [], votes: null }
        assert.deepStrictEqual(
          lines.flatMap((line) => (line.kind === "marks" ? [line.data] : [])),
          [
            { ...nothing, seq: mine.seq, reactions: ["🎉", "👍"] },
            { ...nothing, seq: poll.seq, starred: true, votes: [0, 1] },
            { ...nothing, seq: hidden.seq, hidden: true }
          ]
        )
        assert.deepStrictEqual(
          lines.flatMap((line) => (line.kind === "block" ? [line.data.user.id] : [])),
          [b]
        )
        for (const text of [
          "theirs",
          "their draft",
          "their question",
          "hidden from a",
          "😀",
          "elsewhere",
          others,
          deleted
        ])
          assert.notInclude(JSON.stringify(lines), text)

        const { items } = yield* Audit.use((audit) => audit.list({ limit: 1 }))
        assert.deepInclude(items[0], { actor, act: "admin.exportAccount", target: { kind: "user", id: a }, detail: {} })
        assert.strictEqual(yield* outcome(exported(UserId.make("00000000-0000-7000-8000-000000000000"))), "NotFound")
        assert.strictEqual((yield* Audit.use((audit) => audit.list({ limit: 1 }))).items[0]?.id, items[0]?.id)
      })
    )

    it.effect("has the devices, with those that were signed out", () =>
      Effect.gen(function* () {
        const { device, me, principal } = yield* signedIn
        const [session] = yield* Effect.map(
          Sessions.use((sessions) => sessions.list(principal, { limit: 200 })),
          ({ items }) => items
        )
        const { current: _, ...same } = session ?? assert.fail("no session")
        yield* Sessions.use((sessions) => sessions.logout(principal))
        const found = (yield* exported(me.id)).flatMap((line) => (line.kind === "session" ? [line.data] : []))
        const [{ endedAt, ...ended } = assert.fail("no session")] = found
        assert.deepStrictEqual([found.length, ended, ended.ip], [1, same, device.ip])
        assert.isNotNull(endedAt)
      })
    )
  })
}
