import { assert, describe, it } from "@effect/vitest"
import { type ClientHistory, type Received, type Stored, violations } from "../support/History.ts"

const conversationId = "c"

const received = (seq: number, messageId: string): Received => ({
  event: "message.created",
  conversationId,
  seq,
  messageId,
  head: undefined
})

const notice = (event: string, head: number): Received => ({
  event,
  conversationId,
  seq: undefined,
  messageId: undefined,
  head
})

const message = (seq: number, senderId: string) => ({
  seq,
  messageId: `m${seq}`,
  senderId,
  clientMessageId: `c${seq}`,
  body: `body ${seq}`,
  deleted: false
})

const member = (userId: string, readSeq: number) => ({ userId, visibleFromSeq: 1, leftSeq: null, readSeq })

/** Ann has sent 2 and 3; Bob has received both over two connections and has read up to 2. */
const stored: Stored = {
  id: conversationId,
  head: 3,
  messages: [message(2, "ann"), message(3, "ann")],
  events: [{ seq: 1, event: "conversation.created" }],
  members: [member("ann", 3), member("bob", 2)]
}

const send = (seq: number) => ({
  conversationId,
  clientMessageId: `c${seq}`,
  body: `body ${seq}`,
  attempts: 1,
  acks: [{ messageId: `m${seq}`, seq, duplicate: false }]
})

const view = {
  after: 1,
  messagesOnlyUpTo: 0,
  events: new Map([
    [2, "m2"],
    [3, "m3"]
  ])
}

const silent: ClientHistory = {
  userId: "carl",
  name: "carl",
  sends: [],
  marks: new Map(),
  asked: new Map(),
  connections: [],
  cursors: new Map(),
  views: new Map(),
  complaints: [],
  badges: new Map()
}

const ann: ClientHistory = {
  ...silent,
  userId: "ann",
  name: "ann",
  sends: [send(2), send(3)],
  connections: [
    {
      node: "a",
      cursors: undefined,
      received: [notice("ready", 1), received(2, "m2"), received(3, "m3")],
      end: ""
    }
  ],
  cursors: new Map([[conversationId, 3]]),
  views: new Map([[conversationId, view]]),
  badges: new Map([[conversationId, 0]])
}

const bob: ClientHistory = {
  ...silent,
  userId: "bob",
  name: "bob",
  marks: new Map([[conversationId, 2]]),
  asked: new Map([[conversationId, new Set([2])]]),
  connections: [
    { node: "a", cursors: undefined, received: [notice("ready", 1), received(2, "m2")], end: "" },
    { node: "b", cursors: new Map([[conversationId, 2]]), received: [received(3, "m3")], end: "" }
  ],
  cursors: new Map([[conversationId, 3]]),
  views: new Map([[conversationId, view]]),
  badges: new Map([[conversationId, 1]])
}

const bobGot = (...events: ReadonlyArray<Received>): ClientHistory => ({
  ...bob,
  connections: [{ node: "b", cursors: new Map([[conversationId, 1]]), received: [...events], end: "" }]
})

const wrong: Record<string, readonly [RegExp, ReadonlyArray<ClientHistory>, Stored]> = {
  "a lost message": [
    /acknowledged at seq 3 and is lost/,
    [ann, bob],
    { ...stored, head: 2, messages: [message(2, "ann")] }
  ],
  "a message stored twice": [
    /stored 2 times: 3,4/,
    [ann, bob],
    { ...stored, head: 4, messages: [...stored.messages, { ...message(4, "ann"), clientMessageId: "c3" }] }
  ],
  "an acknowledgement with another seq": [
    /acknowledged as m3 at seq 4 and is m3 at 3/,
    [{ ...ann, sends: [send(2), { ...send(3), acks: [{ messageId: "m3", seq: 4, duplicate: false }] }] }, bob],
    stored
  ],
  "a message that nobody sent": [/nobody sent it/, [{ ...ann, sends: [send(2)] }, bob], stored],
  "a changed body": [
    /with another body/,
    [ann, bob],
    { ...stored, messages: [message(2, "ann"), { ...message(3, "ann"), body: "else" }] }
  ],
  "a hole in the log": [
    /seq 4 at place 3/,
    [ann, bob],
    { ...stored, messages: [message(2, "ann"), message(4, "ann")] }
  ],
  "a head beyond the log": [/the head is 4, but there are 3 events/, [ann, bob], { ...stored, head: 4 }],
  "an event twice": [/got 2 where 3 was next/, [ann, bobGot(received(2, "m2"), received(2, "m2"))], stored],
  "a skipped event": [/got 3 where 2 was next/, [ann, bobGot(received(3, "m3"))], stored],
  "another order for another reader": [
    /m3 at 2, where the log has m2/,
    [ann, bobGot(received(2, "m3"), received(3, "m2"))],
    stored
  ],
  "a reset back in time": [
    /reset back to 1/,
    [ann, bobGot(received(2, "m2"), notice("conversation.reset", 1))],
    stored
  ],
  "an event before its conversation": [
    /before the conversation was introduced/,
    [ann, { ...bob, connections: [{ node: "a", cursors: undefined, received: [received(2, "m2")], end: "" }] }],
    stored
  ],
  "a conversation added twice": [
    /conversation.added twice/,
    [ann, bobGot(notice("conversation.added", 3), notice("conversation.added", 3))],
    stored
  ],
  "an event to a stranger": [
    /carl, who may not, got message.created 2/,
    [
      ann,
      bob,
      { ...silent, connections: [{ node: "a", cursors: new Map([["c", 1]]), received: [received(2, "m2")], end: "" }] }
    ],
    stored
  ],
  "a client left behind": [/is at 2, and the head is 3/, [ann, { ...bob, cursors: new Map([["c", 2]]) }], stored],
  "a client with a hole": [
    /shows nothing at 2/,
    [ann, { ...bob, views: new Map([["c", { ...view, events: new Map([[3, "m3"]]) }]]) }],
    stored
  ],
  "a wrong badge": [/the badge says 0, and 1 are unread/, [ann, { ...bob, badges: new Map([["c", 0]]) }], stored],
  "a lost read marker": [
    /readSeq is 0, but 2 was acknowledged/,
    [ann, bob],
    { ...stored, members: [member("ann", 3), member("bob", 0)] }
  ],
  "an invented read marker": [
    /nobody asked for readSeq 3/,
    [ann, bob],
    { ...stored, members: [member("ann", 3), member("bob", 3)] }
  ]
}

describe("the history checker", () => {
  it("accepts a correct history", () => {
    assert.deepStrictEqual(violations([ann, bob, silent], [stored]), [])
  })

  for (const [what, [complaint, clients, conversation]] of Object.entries(wrong)) {
    it(`finds ${what}`, () => {
      const found = violations(clients, [conversation])
      assert.isTrue(
        found.some((line) => complaint.test(line)),
        found.join("\n")
      )
    })
  }
})
