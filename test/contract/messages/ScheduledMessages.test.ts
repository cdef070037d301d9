import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Unavailable } from "../../../src/domain/Problem.ts"
import { Messages } from "../../../src/services/messages/Messages.ts"
import { ScheduledMessages } from "../../../src/services/messages/ScheduledMessages.ts"
import * as ScheduledMessagesSql from "../../../src/services/messages/ScheduledMessagesSql.ts"
import * as ScheduledMessagesMemory from "../../../src/testing/memory/ScheduledMessages.ts"
import { chat, messagesIn, outcome, twoOfUs, wholeLog } from "../../support/Chat.ts"
import { databases } from "../../support/Database.ts"
import { Time } from "../../support/Time.ts"
import { scheduledMessagesContract } from "./ScheduledMessages.contract.ts"

const fake = Layer.merge(ScheduledMessagesMemory.layerMemory, Time.layerMemory).pipe(Layer.provideMerge(chat.fake))

describe("fake", () => {
  scheduledMessagesContract(fake)

  const down = new Unavailable({ detail: "down" })
  let isDown = true
  /** A log that stores the message, but whose answer is lost. */
  const flaky = Layer.effect(
    Messages,
    Effect.map(Messages, (messages) =>
      Messages.of({
        ...messages,
        send: (...args) =>
          Effect.flatMap(messages.send(...args), (ack) => (isDown ? Effect.fail(down) : Effect.succeed(ack)))
      })
    )
  ).pipe(Layer.provide(Messages.layer))

  it.effect("a message whose outcome is unknown is tried again when its lease ends, and can no longer be changed", () =>
    Effect.gen(function* () {
      const { a, id: conversationId } = yield* twoOfUs
      const service = yield* ScheduledMessages
      const sendAt = new Date((yield* Clock.currentTimeMillis) + 1000)
      const { id } = yield* service.create(a, { conversationId, sendAt, body: "once" })
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* service.sendDue, 1)
      assert.deepInclude(yield* service.get(a, id), { status: "sending" })
      assert.strictEqual(yield* outcome(service.cancel(a, id)), "already-sending")
      assert.strictEqual(yield* outcome(service.update(a, id, { body: "twice" })), "already-sending")
      isDown = false
      assert.strictEqual(yield* service.sendDue, 0)
      yield* TestClock.adjust("31 seconds")
      assert.strictEqual(yield* service.sendDue, 1)
      assert.lengthOf(messagesIn(yield* wholeLog(conversationId)), 1)
      assert.strictEqual(yield* outcome(service.get(a, id)), "NotFound")
    }).pipe(
      Effect.provide(ScheduledMessagesMemory.layerMemory.pipe(Layer.provide(flaky), Layer.provideMerge(chat.fake)))
    )
  )
})

for (const database of databases) {
  describe.skipIf(database.skip)(database.name, () =>
    scheduledMessagesContract(
      Layer.merge(ScheduledMessagesSql.layer, Time.layer).pipe(
        Layer.provideMerge(chat.sql),
        Layer.provideMerge(database.layer)
      )
    )
  )
}
