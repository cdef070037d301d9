import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Metrics } from "../../src/services/platform/Metrics.ts"
import { api, connect } from "../support/Client.ts"
import { gatewayService, Service } from "../support/GatewayService.ts"
import { counting, sample } from "../support/Samples.ts"
import { patience } from "../support/TimeLimits.ts"

const counted = (...settings: Parameters<typeof gatewayService>) =>
  gatewayService(...settings).pipe(Layer.provideMerge(counting))

const reaches = (series: string, value: number) =>
  sample(series).pipe(
    Effect.tap(Effect.sleep(20)),
    Effect.repeat({ until: (now) => now === value }),
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () => Effect.flatMap(sample(series), (now) => Effect.die(new Error(`${series} is ${now}, not ${value}`)))
    })
  )

layer(counted(), { excludeTestServices: true })("sockets are counted", (it) => {
  it.effect("by operation and outcome of their commands", () =>
    Effect.gen(function* () {
      const { url } = yield* Service
      const http = api(url)
      const [ann, bob] = [yield* http.register(), yield* http.register()]
      const id = yield* http.dm(ann, bob)
      const [a, b] = [yield* connect(url), yield* connect(url)]
      yield* a.ready(ann.token)
      yield* b.ready(bob.token)
      yield* reaches(`chat_websocket_connections{state="open"}`, 2)
      for (const n of [1, 2, 3]) {
        yield* a.ok("message.send", { conversationId: id, clientMessageId: `c${n}`, body: "planted body" })
        yield* b.seq(id, n + 1)
      }
      yield* a.error("message.send", { conversationId: id, clientMessageId: "c4", body: "" })
      yield* a.error("planted.operation", {})
      yield* b.ok("read.mark", { conversationId: id, seq: 4 })

      const commands = (labels: string) => sample(`chat_websocket_commands_total{${labels}}`)
      assert.strictEqual(yield* commands(`op="message.send",outcome="ok"`), 3)
      assert.strictEqual(yield* commands(`op="message.send",outcome="invalid-request"`), 1)
      assert.strictEqual(yield* commands(`op="unknown",outcome="invalid-request"`), 1)
      assert.strictEqual(yield* commands(`op="hello",outcome="ok"`), 2)
      assert.strictEqual(yield* sample(`chat_websocket_command_duration_seconds_count{op="message.send"}`), 4)
      assert.strictEqual(yield* sample("chat_deliveries_total"), 6)
      assert.isAbove(yield* sample("chat_fanout_duration_seconds_count"), 2)
      assert.strictEqual(yield* sample(`chat_commit_batch_entries_sum{queue="messages"}`), 3)
      assert.strictEqual(yield* sample(`chat_commit_duration_seconds_count{queue="reads"}`), 1)
      assert.strictEqual(yield* sample(`chat_commit_queue_entries{queue="messages"}`), 0)
      assert.strictEqual(yield* sample("chat_presence_users"), 2)
      assert.strictEqual(yield* sample("chat_followed_conversations"), 1)
      assert.strictEqual(yield* sample(`chat_websocket_messages_total{direction="received"}`), 8)
      yield* reaches(`chat_messages_sent_total{kind="dm"}`, 3)

      b.terminate()
      yield* reaches(`chat_websocket_closed_total{reason="abnormal"}`, 1)
      const again = yield* connect(url)
      yield* again.ready(bob.token, { cursors: { [id]: 2 } })
      assert.strictEqual(yield* sample("chat_resumes_total"), 1)
      assert.strictEqual(yield* sample("chat_replayed_events_total"), 2)
      // Messages of closed sockets are still counted.
      assert.isAtLeast(yield* sample(`chat_websocket_messages_total{direction="received"}`), 9)
      const { render } = yield* Metrics
      assert.notInclude(yield* render("openmetrics"), "planted")
    })
  )
})

const timers = { heartbeat: 50, heartbeatAnswer: 50 }

layer(counted({ timers, limits: { socketsPerUser: 1 } }), { excludeTestServices: true })("sockets that end", (it) => {
  it.effect("are counted and logged by the reason", () =>
    Effect.gen(function* () {
      const { log, url } = yield* Service
      const ann = yield* api(url).register()
      const [a, b] = [yield* connect(url), yield* connect(url)]
      yield* a.ready(ann.token)
      b.request("hello", { token: ann.token })
      assert.strictEqual((yield* b.closed).code, 4505)
      assert.strictEqual((yield* a.closed).code, 4002)
      yield* reaches("chat_heartbeat_timeouts_total", 1)
      yield* reaches(`chat_websocket_closed_total{reason="too-many-connections"}`, 1)
      assert.strictEqual(yield* sample(`chat_limit_hits_total{limit="sockets-per-user"}`), 1)
      const lines = log.filter(({ message }) => message === "socket opened" || message === "socket closed")
      assert.deepStrictEqual([...new Set(lines.map(({ client }) => client))], ["127.0.0.1"])
      const codes = log.flatMap(({ code, message }) => (message === "socket closed" ? [code] : []))
      assert.sameMembers(codes, [4505, 4002])
      assert.strictEqual(log.filter(({ message }) => message === "socket opened").length, 1)
    })
  )
})
