import { readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { WebSocket } from "ws"

/** Who sends, and where. */
interface Sender {
  readonly token: string
  readonly conversationId: string
}

/** What became of a second: sends by their outcome, and how long the acknowledged ones took, in milliseconds. */
export interface Second {
  readonly offered: number
  readonly acknowledged: number
  readonly refused: number
  readonly p50: number
  readonly p99: number
}

const tickMs = 10

/** How long a sender waits after a refusal that does not say so, in milliseconds. */
const usualWait = 1000

/**
 * A process of its own that sends messages at given rates, however late the answers are, and prints each second as a line of
 * JSON. What a sender would send while a refusal tells it to wait is offered and not sent, and counts as refused.
 * In the end it prints how many were acknowledged of each conversation. Its arguments are the URL, and the rates a second as
 * JSON; the senders come from standard input.
 */
const offer = async (url: string, rates: ReadonlyArray<number>, senders: ReadonlyArray<Sender>) => {
  const sentAt = new Map<string, number>()
  const acknowledged: Record<string, number> = {}
  let times: Array<number> = []
  let offered = 0
  let refused = 0

  const sockets = await Promise.all(
    senders.map(async ({ conversationId, token }, index) => {
      const ws = new WebSocket(`${url.replace(/^http/, "ws")}/v1/ws`, { perMessageDeflate: false })
      await new Promise((resolve) => ws.once("open", resolve))
      ws.send(JSON.stringify({ id: 0, op: "hello", data: { token } }))
      await new Promise((resolve) => ws.once("message", resolve))
      let sent = 0
      let waitsUntil = 0
      ws.on("message", (data) => {
        const frame = JSON.parse(String(data))
        for (const { error, id, ok } of Array.isArray(frame) ? frame : [frame]) {
          const key = `${index} ${id}`
          const before = sentAt.get(key)
          if (before === undefined) continue
          sentAt.delete(key)
          if (error !== undefined) {
            refused++
            waitsUntil = Math.max(waitsUntil, performance.now() + (error.retryAfterMs ?? usualWait))
          }
          if (ok === undefined) continue
          times.push(performance.now() - before)
          acknowledged[conversationId] = (acknowledged[conversationId] ?? 0) + 1
        }
      })
      return (count: number) => {
        offered += count
        if (performance.now() < waitsUntil) {
          refused += count
          return
        }
        const commands = Array.from({ length: count }, () => {
          const id = ++sent
          sentAt.set(`${index} ${id}`, performance.now())
          const data = { conversationId, clientMessageId: `${index}-${id}`, body: `message ${id} of sender ${index}` }
          return { id, op: "message.send", data }
        })
        if (count > 0) ws.send(JSON.stringify(commands))
      }
    })
  )

  for (const rate of rates) {
    const begun = performance.now()
    let due = 0
    for (let at = 0; at < 1000; at = performance.now() - begun) {
      // What was due while this process was late is sent too.
      const share = (at + tickMs) * (rate / 1000) - due
      const each = Math.floor(share / sockets.length)
      for (const send of sockets) send(Math.min(each, 200))
      due += each * sockets.length
      await sleep(tickMs)
    }
    const sorted = times.toSorted((a, b) => a - b)
    const at = (part: number) => sorted[Math.floor(sorted.length * part)] ?? 0
    const second: Second = { offered, acknowledged: sorted.length, refused, p50: at(0.5), p99: at(0.99) }
    process.stdout.write(`${JSON.stringify(second)}\n`)
    times = []
    offered = 0
    refused = 0
  }
  // The answers to what was sent last.
  for (let waited = 0; sentAt.size > 0 && waited < 20_000; waited += 100) await sleep(100)
  process.stdout.write(`${JSON.stringify({ acknowledged, unanswered: sentAt.size })}\n`)
  process.exit(0)
}

const [, , url, rates] = process.argv
if (url !== undefined && rates !== undefined) await offer(url, JSON.parse(rates), JSON.parse(readFileSync(0, "utf8")))
