import { randomInt } from "node:crypto"
import { assert, describe, layer as withLayer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as fc from "fast-check"
import type { MessageId, UserId } from "../../../src/domain/Ids.ts"
import { Conversations } from "../../../src/services/conversations/Conversations.ts"
import { ReadMarkers } from "../../../src/services/conversations/ReadMarkers.ts"
import { Users } from "../../../src/services/identity/Users.ts"
import { MessageChanges } from "../../../src/services/messages/MessageChanges.ts"
import { Threads } from "../../../src/services/messages/Threads.ts"
import { type Chat, chat, groupOf, people, post } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"

const seed = Number(process.env.CHAT_TEST_SEED ?? randomInt(2 ** 31))
const runs = Number(process.env.CHAT_TEST_RUNS ?? 6)

const who = fc.nat(2)
/** Any of the earlier messages, by its index among them. */
const which = fc.nat(1000)

/** An action of one of three members. The first is the owner, whose @all mentions everybody. */
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant("post"), who, names: fc.subarray([0, 1, 2, "all"] as const) })
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("reply"), who, which, names: fc.subarray([0, 1, 2, "all"] as const) })
  },
  fc.record({ kind: fc.constant("edit"), which, names: fc.subarray([0, 1, 2, "all"] as const) }),
  fc.record({ kind: fc.constant("delete"), which }),
  fc.record({ kind: fc.constant("hide"), who, which }),
  fc.record({ kind: fc.constant("read"), who, seq: fc.nat(60), force: fc.boolean() }),
  fc.record({ kind: fc.constant("thread"), who, which, seq: fc.nat(60) })
)

const plan = fc.array(step, { minLength: 20, maxLength: 60 })

type Plan = typeof plan extends fc.Arbitrary<infer A> ? A : never

/** A message of the model; `names` are the members that it mentions, `root` is the seq of its thread's root. */
interface Said {
  readonly id: MessageId
  readonly seq: number
  readonly by: number
  readonly root: number | null
  names: ReadonlyArray<number | "all">
  deleted: boolean
  readonly hiddenFor: Set<number>
}

const runPlan = Effect.fnUntraced(function* (steps: Plan) {
  const users = yield* Users
  const conversations = yield* Conversations
  const changes = yield* MessageChanges
  const threads = yield* Threads
  const members = yield* people(3)
  const [owner] = members
  if (owner === undefined) return yield* Effect.die("nobody")
  const names = yield* Effect.forEach(members, (id) => Effect.map(users.get(id), ({ username }) => `@${username}`))
  const id = yield* groupOf(owner, ...members)
  const userAt = (n: number): UserId => members[n] ?? owner

  const said: Array<Said> = []
  const readSeqs = [0, 0, 0]
  const threadSeqs = new Map<string, number>()
  let head = 1

  const bodyOf = (called: ReadonlyArray<number | "all">) =>
    `hey ${called.map((name) => (name === "all" ? "@all" : names[name])).join(" ")}`

  const unread = (me: number) =>
    said.filter(
      ({ by, deleted, hiddenFor, root, seq }) =>
        root === null && by !== me && !deleted && !hiddenFor.has(me) && seq > (readSeqs[me] ?? 0)
    ).length

  const mentions = (me: number) =>
    said.filter(({ by, deleted, hiddenFor, names: called, root, seq }) => {
      const marker = root === null ? (readSeqs[me] ?? 0) : (threadSeqs.get(`${root} ${me}`) ?? root)
      const forMe = called.includes(me) || (called.includes("all") && by === 0)
      return forMe && by !== me && !deleted && !hiddenFor.has(me) && seq > marker
    }).length

  for (const one of steps) {
    const target = "which" in one ? said[one.which % Math.max(said.length, 1)] : undefined
    if ("which" in one && target === undefined) continue
    const root = target === undefined ? null : (target.root ?? target.seq)
    switch (one.kind) {
      case "post":
      case "reply": {
        const reply = one.kind === "reply" && target !== undefined ? { threadRoot: target.id } : {}
        const message = yield* post(id, userAt(one.who), { body: bodyOf(one.names), ...reply })
        said.push({
          id: message.id,
          seq: message.seq,
          by: one.who,
          root,
          names: one.names,
          deleted: false,
          hiddenFor: new Set()
        })
        if (root === null) readSeqs[one.who] = message.seq
        else threadSeqs.set(`${root} ${one.who}`, message.seq)
        head = message.seq
        break
      }
      case "edit": {
        if (target === undefined || target.deleted) break
        const edited = yield* changes.edit(userAt(target.by), id, target.id, { body: bodyOf(one.names) })
        target.names = one.names
        head = Math.max(head, edited.changedSeq)
        break
      }
      case "delete":
        if (target === undefined || target.deleted) break
        yield* changes.delete(userAt(target.by), id, target.id)
        target.deleted = true
        head++
        break
      case "hide":
        if (target === undefined) break
        yield* changes.hide(userAt(one.who), id, target.id)
        target.hiddenFor.add(one.who)
        break
      case "read": {
        yield* ReadMarkers.use((markers) => markers.markRead(userAt(one.who), id, { seq: one.seq, force: one.force }))
        const upTo = Math.min(one.seq, head)
        readSeqs[one.who] = one.force ? upTo : Math.max(readSeqs[one.who] ?? 0, upTo)
        break
      }
      case "thread": {
        if (target === undefined || root === null) break
        yield* threads.mark(userAt(one.who), id, target.id, one.seq)
        const key = `${root} ${one.who}`
        threadSeqs.set(key, Math.max(threadSeqs.get(key) ?? root, Math.min(one.seq, head)))
        const shown = yield* threads.list(userAt(one.who), id, target.id, { limit: 1 })
        const replies = said.filter((each) => each.root === root)
        assert.deepInclude(shown, {
          replyCount: replies.length,
          readSeq: threadSeqs.get(key) ?? 0,
          unreadCount: replies.filter(
            ({ by, deleted, hiddenFor, seq }) =>
              by !== one.who && !deleted && !hiddenFor.has(one.who) && seq > (threadSeqs.get(key) ?? root)
          ).length
        })
      }
    }
    for (const me of [0, 1, 2]) {
      const { me: shown } = yield* conversations.get(userAt(me), id)
      const expected = { unreadCount: unread(me), mentionCount: mentions(me) }
      assert.deepInclude(shown, { ...expected, readSeq: readSeqs[me] ?? 0 }, `${one.kind}, seen by ${me}`)
      assert.deepStrictEqual(yield* ReadMarkers.use((markers) => markers.unread(userAt(me))), expected)
    }
  }
})

const property = <E>(layer: Layer.Layer<Chat, E>) =>
  withLayer(layer)("what is unread", (it) => {
    for (const [run, made] of fc.sample(plan, { seed, numRuns: runs }).entries()) {
      it.effect(`is what counting all messages gives (CHAT_TEST_SEED=${seed}, plan ${run})`, () => runPlan(made))
    }
  })

describe("fake", () => property(chat.fake))

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () => property(chat.sql.pipe(Layer.provideMerge(database.layer))))
}
