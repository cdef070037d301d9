import { assert, describe, it } from "@effect/vitest"
import { ConversationId, UserId } from "../../src/domain/Ids.ts"
import { Cursor, type Subscriber } from "../../src/realtime/Cursor.ts"
import { Feed } from "../../src/realtime/Feed.ts"
import { Frame } from "../../src/realtime/Frame.ts"

const conversationId = ConversationId.make("018f0000-0000-7000-8000-000000000001")

const frame = (seq: number) =>
  new Frame({ event: "message.created", conversationId, seq, except: null, refersTo: null, json: String(seq) })

/** A cursor whose subscriber accepts the seqs that `takes` says, and the seqs that it accepted. */
const following = (takes: (seq: number) => boolean = () => true) => {
  const taken: Array<number> = []
  const offered: Array<string> = []
  const subscriber: Subscriber = {
    userId: UserId.make("018f0000-0000-7000-8000-000000000002"),
    deliver: ({ seq }) => takes(seq) && taken.push(seq) > 0,
    offer: ({ event }) => offered.push(event) > 0,
    reread: () => {}
  }
  return { offered, cursor: new Cursor(conversationId, subscriber), taken }
}

describe("a cursor", () => {
  it("holds events until it is released, and then delivers those that come next", () => {
    const { cursor, taken } = following()
    for (const seq of [5, 6, 7]) cursor.receive(frame(seq))
    assert.deepStrictEqual(taken, [])
    cursor.nextSeq = 6
    assert.isTrue(cursor.release())
    assert.isTrue(cursor.live)
    cursor.receive(frame(8))
    assert.deepStrictEqual(taken, [6, 7, 8])
  })

  it("delivers each event once, and none out of order", () => {
    const { cursor, taken } = following()
    cursor.nextSeq = 3
    cursor.release()
    for (const seq of [3, 3, 2, 5, 4, 4, 1]) cursor.receive(frame(seq))
    assert.deepStrictEqual(taken, [3, 4])
  })

  it("is not released before a gap", () => {
    const { cursor, taken } = following()
    cursor.receive(frame(9))
    cursor.nextSeq = 7
    assert.isFalse(cursor.release())
    assert.isFalse(cursor.live)
    // The events that were read from the log meanwhile close the gap.
    cursor.receive(frame(10))
    cursor.nextSeq = 10
    assert.isTrue(cursor.release())
    assert.deepStrictEqual(taken, [10])
  })

  it("holds at most 256 events, and then asks for the log", () => {
    const { cursor, taken } = following()
    for (let seq = 1; seq <= 300; seq++) cursor.receive(frame(seq))
    cursor.nextSeq = 1
    assert.isFalse(cursor.release())
    assert.deepStrictEqual(
      taken,
      Array.from({ length: 256 }, (_, n) => n + 1)
    )
    assert.strictEqual(cursor.nextSeq, 257)
    cursor.nextSeq = 301
    assert.isTrue(cursor.release())
  })

  it("holds events again when its subscriber does not accept one, and continues there", () => {
    let open = true
    const { cursor, taken } = following(() => open)
    cursor.nextSeq = 1
    cursor.release()
    cursor.receive(frame(1))
    open = false
    cursor.receive(frame(2))
    cursor.receive(frame(3))
    assert.isFalse(cursor.live)
    assert.strictEqual(cursor.nextSeq, 2)
    open = true
    // The event 2 was not kept, so it must be read from the log.
    assert.isFalse(cursor.release())
    cursor.nextSeq = 4
    assert.isTrue(cursor.release())
    cursor.receive(frame(4))
    assert.deepStrictEqual(taken, [1, 4])
  })
})

describe("a cursor of a feed", () => {
  const feedAt = (head: number) => {
    const feed = new Feed(() => {})
    feed.start(head)
    return feed
  }

  it("is not released before what the feed has delivered already", () => {
    const feed = feedAt(5)
    const { cursor, taken } = following()
    feed.attach(cursor)
    cursor.nextSeq = 5
    assert.isFalse(cursor.release())
    cursor.nextSeq = 6
    assert.isTrue(cursor.release())
    feed.take(frame(6))
    assert.deepStrictEqual(taken, [6])
  })

  it("gets no ephemeral event before its user is known to be a member", () => {
    const feed = feedAt(0)
    const { cursor, offered } = following()
    feed.attach(cursor)
    const typing = { event: "typing.started", conversationId, seq: null, except: null, refersTo: null, json: "{}" }
    feed.offer(typing)
    assert.deepStrictEqual(offered, [])
    cursor.nextSeq = 1
    cursor.release()
    feed.offer(typing)
    assert.deepStrictEqual(offered, ["typing.started"])
  })

  it("ends with its membership, and stays when that has begun later", () => {
    const feed = feedAt(4)
    const [before, after] = [following(), following()]
    for (const [{ cursor }, next] of [[before, 5] as const, [after, 7] as const]) {
      feed.attach(cursor)
      cursor.nextSeq = next
      cursor.release()
    }
    const json = JSON.stringify({ data: { userId: before.cursor.subscriber.userId } })
    feed.take(new Frame({ event: "member.left", conversationId, seq: 5, except: null, refersTo: null, json }))
    for (const seq of [6, 7]) feed.take(frame(seq))
    assert.isFalse(before.cursor.attached)
    assert.deepStrictEqual(before.taken, [])
    assert.deepStrictEqual(after.taken, [7])
  })
})

describe("the frame of an event", () => {
  it("is built once for all who receive the event", () => {
    const feed = new Feed(() => {})
    feed.start(0)
    const written: Array<Buffer> = []
    for (let n = 0; n < 50; n++) {
      const cursor = new Cursor(conversationId, {
        userId: UserId.make("018f0000-0000-7000-8000-000000000002"),
        deliver: ({ bytes }) => written.push(bytes) > 0,
        offer: () => true,
        reread: () => {}
      })
      cursor.nextSeq = 1
      cursor.visibleFromSeq = 1
      cursor.release()
      feed.attach(cursor)
    }
    feed.take(frame(1))
    assert.strictEqual(written.length, 50)
    assert.strictEqual(new Set(written).size, 1)
  })
})
