import { spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Array as Arr, Effect, Schema } from "effect"
import { api } from "../support/Client.ts"
import { dataDirectory, startNode } from "../support/Node.ts"
import type { Second } from "./offering.ts"
import { draw, type Shown } from "./overloadPicture.ts"

const script = fileURLToPath(new URL("./offering.ts", import.meta.url))
const picture = fileURLToPath(new URL("../../docs/pictures/overload.svg", import.meta.url))

/** Messages a second: steps of ten seconds, each twice the one before, and then what the node did at first. */
const rates = [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 500, 500].flatMap((rate) => Arr.replicate(rate, 10))

const SeqOf = Schema.decodeUnknownSync(Schema.Struct({ seq: Schema.Int }))

const unlimited = 1_000_000

describe("a node that gets more and more messages", () => {
  it.live(
    "acknowledges what it can in bounded time, refuses the rest, loses nothing, and is itself again afterwards",
    () =>
      Effect.gen(function* () {
        const node = yield* startNode({
          "data.dir": yield* dataDirectory,
          "logging.format": "json",
          "limits.commands_per_second": unlimited,
          "limits.commands_burst": unlimited,
          "limits.commands_in_flight": 1000,
          "limits.outbox_bytes": 64 * 1024 * 1024,
          "limits.outbox_frames": unlimited
        })
        const http = api(node.url)
        const pairs = yield* Effect.forEach(Arr.range(1, 10), (n) =>
          Effect.gen(function* () {
            const [one, other] = [yield* http.register(`one-${n}`), yield* http.register(`other-${n}`)]
            const conversationId = yield* http.dm(one, other)
            return { one, conversationId, senders: [one, other].map(({ token }) => ({ token, conversationId })) }
          })
        )
        const child = yield* Effect.acquireRelease(
          Effect.sync(() =>
            spawn(process.execPath, [script, node.url, JSON.stringify(rates)], {
              stdio: ["pipe", "pipe", "inherit"],
              env: { PATH: process.env.PATH }
            })
          ),
          (it) => Effect.sync(() => it.kill("SIGKILL"))
        )
        child.stdin.end(JSON.stringify(pairs.flatMap(({ senders }) => senders)))
        const levelNow = async () => {
          const text = await (await fetch(`${node.url}/metrics`)).text()
          return Number(/^chat_load_level(?:\{.*\})? (\d)/m.exec(text)?.[1] ?? 0)
        }
        const seconds: Array<Shown> = []
        const end = yield* Effect.promise(async () => {
          let level = Promise.resolve(0)
          for await (const line of createInterface(child.stdout)) {
            const json = JSON.parse(line)
            if ("unanswered" in json) return json
            const second: Second = json
            // The level is asked for while the node is busy, so its answer belongs to the next second.
            seconds.push({ ...second, level: await level })
            level = levelNow()
          }
        })
        const highest = Math.max(...seconds.map(({ level }) => level))
        const calm = seconds.slice(-5)
        yield* Effect.logInfo({ highest, seconds: seconds.filter((_, second) => second % 10 === 8) })
        for (const { conversationId, one } of pairs) {
          const { seq } = SeqOf(yield* http.must("GET", `/v1/conversations/${conversationId}`, one))
          // Each message took one seq, and the conversation took the first.
          assert.isAtLeast(seq, 1 + (end.acknowledged[conversationId] ?? 0), "an acknowledged message is lost")
        }
        assert.strictEqual(end.unanswered, 0, "each send has an answer")
        assert.isAbove(highest, 0, "the load was shed")
        for (const { level, p99, refused } of calm) assert.deepStrictEqual([level, refused, p99 < 1000], [0, 0, true])
        for (const { p99 } of seconds) assert.isBelow(p99, 5000)
        if (process.env.PICTURES !== undefined) writeFileSync(picture, draw(seconds))
      }),
    10 * 60_000
  )
})
