import { assert, describe, it } from "vitest"
import type { ConversationState } from "../../src/client/Client.ts"
import { makeByActivity } from "../../src/client/state/Activity.ts"
import { SharedMap } from "../../src/client/state/SharedMap.ts"
import { type ChatState, emptyState } from "../../src/client/state/State.ts"
import { Store } from "../../src/client/state/Store.ts"
import { changed, changeOf } from "../../src/client/tabs/Messages.ts"
import { ConversationId, UserId } from "../../src/domain/Ids.ts"
import { randomOf } from "../support/Random.ts"
import { SimulatedService, userId } from "../support/SimulatedService.ts"

const uuid = (n: number) => `00000002-0000-4000-8000-${String(n).padStart(12, "0")}`
const at = (n: number) => new Date(1_700_000_000_000 + n * 1000).toISOString()

/** A client in so many conversations, with a message of 500 in the first one, and what another message there is. */
const start = (count: number) => {
  const service = new SimulatedService()
  const room = service.create()
  const conversation = service.conversation(room)
  const store = new Store(service.me)
  store.listed(
    Array.from({ length: count }, (_, n) => ({
      ...conversation,
      id: ConversationId.make(uuid(n)),
      lastActivityAt: at(n)
    }))
  )
  const { message } = service.send(room, userId(1), "hello")
  const id = ConversationId.make(uuid(0))
  let seq = conversation.seq
  const next = () => {
    seq++
    const event = {
      event: "message.created" as const,
      conversationId: id,
      seq,
      at: at(count + seq),
      actorId: userId(1),
      data: { message: { ...message, conversationId: id, seq, changedSeq: seq } }
    }
    return store.log({ conversationId: id, seq, event })
  }
  store.asking(id)
  store.paged(id, { items: [], hasBefore: false, hasAfter: false })
  for (let n = 0; n < 500; n++) next()
  return { id, next, store }
}

const stateOf = (store: Store): ChatState => ({ ...emptyState, conversations: store.conversations })

/** Counts how many entries of maps are written meanwhile. */
const writes = (act: () => void) => {
  const { set } = Map.prototype
  let count = 0
  Map.prototype.set = function (this: Map<unknown, unknown>, key: unknown, value: unknown) {
    count++
    return set.call(this, key, value)
  }
  try {
    act()
  } finally {
    Map.prototype.set = set
  }
  return count
}

describe("the state of a client in 5,000 conversations", () => {
  it("shares with the one before an event all that did not change, and is made and told to other tabs with little work", () => {
    const { id, next, store } = start(5000)
    const before = stateOf(store)
    assert.strictEqual(store.conversations, before.conversations)
    let after = before
    const work = writes(() => {
      next()
      after = stateOf(store)
    })
    assert.isAtMost(work, 200)
    const differing = [...after.conversations].filter(([key, one]) => before.conversations.get(key) !== one)
    assert.deepStrictEqual(
      differing.map(([key]) => key),
      [id]
    )
    const [old, messages] = [before, after].map(({ conversations }) => conversations.get(id)?.messages)
    assert.strictEqual(messages?.length, 501)
    assert.isTrue(old?.every((message, index) => message === messages?.[index]))

    const change = changeOf(before, after)
    assert.deepStrictEqual(
      change.conversations?.put.map(([key]) => key),
      [id]
    )
    assert.deepStrictEqual(change.conversations?.gone, [])
    let told = before
    const tellWork = writes(() => {
      told = changed(before, change)
    })
    assert.isAtMost(tellWork, 200)
    assert.deepStrictEqual(new Map(told.conversations), new Map(after.conversations))
  })

  it("stays the same object when an event changes nothing that is shown", () => {
    const { id, store } = start(3)
    const before = store.conversations
    store.aside({
      event: "read.marked",
      conversationId: ConversationId.make(uuid(9)),
      data: { userId: userId(1), seq: 1 }
    })
    assert.strictEqual(store.conversations, before)
    const messages = store.get(id)?.messages
    store.aside({ event: "typing.started", conversationId: id, data: { userId: userId(1) } })
    assert.notStrictEqual(store.conversations, before)
    assert.strictEqual(store.get(id)?.messages, messages)
  })

  it("tells other tabs only of the users whose presence has changed", () => {
    const presence = (n: number, status: "online" | "away") =>
      [userId(n), { userId: userId(n), status, lastSeenAt: null }] as const
    const all = Array.from({ length: 200 }, (_, n) => presence(n, "online"))
    const before: ChatState = { ...emptyState, presence: emptyState.presence.change({ put: all }) }
    const after: ChatState = { ...before, presence: before.presence.change({ put: [presence(7, "away")] }) }
    assert.deepStrictEqual(changeOf(before, after), { presence: { put: [presence(7, "away")], gone: [] } })
  })
})

describe("the map of the state", () => {
  it("has what a map has after the same changes, and tells the difference to an earlier one", () => {
    const random = randomOf(7)
    const chance = (n: number) => Math.floor(random() * n)
    const keyOf = (n: number) => UserId.make(uuid(n))
    const plain = new Map<UserId, number>()
    let shared = SharedMap.empty<UserId, number>()
    let earlier = shared
    for (let step = 0; step < 2000; step++) {
      const put = Array.from({ length: chance(3) }, () => [keyOf(chance(150)), chance(3)] as const)
      const gone = Array.from({ length: chance(2) }, () => keyOf(chance(150)))
      for (const [key, value] of put) plain.set(key, value)
      for (const key of gone) plain.delete(key)
      shared = shared.change({ put, gone })
      assert.strictEqual(shared.size, plain.size)
      if (step % 50 > 0) continue
      assert.deepStrictEqual(new Map(shared), plain)
      assert.deepStrictEqual(
        new Map(shared.entries()),
        new Map([...shared.keys()].map((key) => [key, shared.get(key)]))
      )
      assert.deepStrictEqual(new Map(earlier.change(shared.since(earlier))), plain)
      earlier = shared
    }
    assert.strictEqual(shared.change({ put: [...shared].slice(0, 3), gone: [keyOf(999)] }), shared)
  })
})

describe("the conversations by activity", () => {
  it("are in the order of a sort after each change, and the same list while nothing changes", () => {
    const random = randomOf(3)
    const { store } = start(100)
    const byActivity = makeByActivity()
    let conversations = store.conversations
    const sorted = (all: ChatState["conversations"]) =>
      [...all.values()]
        .map(({ conversation }) => `${conversation.lastActivityAt} ${conversation.id}`)
        .sort()
        .reverse()
    const shown = (list: ReadonlyArray<ConversationState>) =>
      list.map(({ conversation }) => `${conversation.lastActivityAt} ${conversation.id}`)
    for (let step = 0; step < 200; step++) {
      assert.deepStrictEqual(shown(byActivity(conversations)), sorted(conversations))
      assert.strictEqual(byActivity(conversations), byActivity(conversations))
      const all = [...conversations]
      const [id, one] = all[Math.floor(random() * all.length)] ?? assert.fail("nothing is left")
      const lastActivityAt = at(Math.floor(random() * 300))
      const changedOne = { ...one, conversation: { ...one.conversation, lastActivityAt } }
      conversations = conversations.change(step % 20 === 0 ? { gone: [id] } : { put: [[id, changedOne]] })
    }
  })
})
