import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Account, api, type Client, connect } from "../support/Client.ts"
import { dataDirectory, type Node, postgresOf, startNode } from "../support/Node.ts"
import { randomOf } from "../support/Random.ts"

const range = (from: number, to: number) => Array.from({ length: Math.max(0, to - from + 1) }, (_, n) => from + n)

/** The number of runs of the service. All but the last end with `kill -9`, every second one with its PostgreSQL. */
const rounds = 4

/** The number of sends in flight: enough that there are some at any moment, and no more than a socket may have. */
const atATime = 6

/** Sends one message after the other, and repeats those that were not acknowledged when the service died. */
class Sender {
  readonly account: Account
  readonly conversationId: string
  /** The sent messages by id, in the order in which they were first sent, each with its seq once it is acknowledged. */
  readonly sent = new Map<string, number | undefined>()
  private readonly name: string

  constructor(name: string, account: Account, conversationId: string) {
    this.name = name
    this.account = account
    this.conversationId = conversationId
  }

  get unacknowledged(): ReadonlyArray<string> {
    return [...this.sent].flatMap(([id, seq]) => (seq === undefined ? [id] : []))
  }

  get acknowledged(): ReadonlyArray<readonly [id: string, seq: number]> {
    return [...this.sent].flatMap(([id, seq]) => (seq === undefined ? [] : [[id, seq] as const]))
  }

  /** Sends until the service dies, or until everything is acknowledged when `somethingNew` is false. */
  run(client: Client, somethingNew: boolean): Effect.Effect<void> {
    const again = [...this.unacknowledged]
    const next = () => {
      const old = again.shift()
      if (old !== undefined || !somethingNew) return old
      const id = `${this.name}-${this.sent.size + 1}`
      this.sent.set(id, undefined)
      return id
    }
    return Effect.gen({ self: this }, function* () {
      const flying: Array<readonly [string, number]> = []
      while (true) {
        while (flying.length < atATime) {
          const id = next()
          if (id === undefined) break
          const data = { conversationId: this.conversationId, clientMessageId: id, body: `body of ${id}` }
          flying.push([id, client.request("message.send", data)])
        }
        const [id, request] = flying.shift() ?? []
        if (id === undefined || request === undefined) return
        const { error, ok } = yield* client.answer(request)
        if (error !== undefined) return yield* Effect.die(new Error(`${id}: ${JSON.stringify(error)}`))
        this.sent.set(id, Number(ok?.seq))
      }
    }).pipe(Effect.catchDefect((defect) => (client.isClosed ? Effect.void : Effect.die(defect))))
  }
}

/** The events of a conversation that a client who only listens has received. */
class Listener {
  readonly bodies = new Map<number, string>()
  readonly account: Account
  readonly conversationId: string
  cursor = 0

  constructor(account: Account, conversationId: string) {
    this.account = account
    this.conversationId = conversationId
  }

  take(client: Client): void {
    for (const { conversationId, data, event, seq } of client.frames) {
      if (conversationId !== this.conversationId) continue
      // A client that missed at most 200 events gets all of them; if there are more, it fetches them.
      if (event === "conversation.reset") this.cursor = data?.seq ?? 0
      if (seq === undefined) continue
      assert.isTrue(this.cursor === 0 || seq === this.cursor + 1, `${seq} after ${this.cursor}`)
      this.cursor = seq
      if (data?.message !== undefined) this.bodies.set(seq, data.message.body)
    }
  }
}

const kill = (node: Node, dataDir: string, withDatabase: boolean) =>
  Effect.gen(function* () {
    const postgres = withDatabase ? postgresOf(dataDir) : []
    node.kill("SIGKILL")
    for (const pid of postgres) process.kill(pid, "SIGKILL")
    yield* node.exit
  })

describe("kill -9", () => {
  it.live.each([7])("at any moment under load loses and repeats no message (seed %i)", (seed) =>
    Effect.gen(function* () {
      const random = randomOf(seed)
      const dataDir = yield* dataDirectory
      const senders: Array<Sender> = []
      const listeners: Array<Listener> = []
      let killedInFlight = 0

      const connectAll = Effect.fnUntraced(function* ({ url }: Node) {
        const clients = yield* Effect.forEach(senders, (sender) =>
          Effect.tap(connect(url), (client) => client.ready(sender.account.token))
        )
        const listening = yield* Effect.forEach(listeners, (listener) =>
          Effect.tap(connect(url), (client) =>
            client.ready(listener.account.token, { cursors: { [listener.conversationId]: listener.cursor } })
          )
        )
        return { clients, listening }
      })

      const settings = {
        "data.dir": dataDir,
        "limits.commands_per_second": 100_000,
        "limits.commands_burst": 100_000
      }
      for (const round of range(1, rounds)) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const node = yield* startNode(settings)
            const http = api(node.url)
            if (round === 1) {
              const [ann, bob] = [yield* http.register("ann"), yield* http.register("bob")]
              const [dm, group] = [yield* http.dm(ann, bob), yield* http.group(ann, bob)]
              senders.push(
                new Sender("a", ann, dm),
                new Sender("b", bob, dm),
                new Sender("c", ann, group),
                new Sender("d", bob, group)
              )
              listeners.push(new Listener(ann, dm), new Listener(bob, group))
            }
            const last = round === rounds
            const { clients, listening } = yield* connectAll(node)
            const running = Effect.forEach(
              senders,
              (sender, n) => {
                const client = clients[n]
                return client === undefined ? Effect.void : sender.run(client, !last)
              },
              { concurrency: "unbounded", discard: true }
            )
            if (last) {
              yield* running
              for (const [n, { conversationId }] of listeners.entries()) {
                const { seq } = yield* Effect.map(
                  listening[n]?.ok("conversation.get", { conversationId }) ?? Effect.succeed({ seq: 0 }),
                  (conversation) => ({ seq: Number(conversation.seq) })
                )
                if ((listeners[n]?.cursor ?? 0) < seq) yield* listening[n]?.seq(conversationId, seq) ?? Effect.void
              }
            } else {
              yield* Effect.all(
                [
                  running,
                  Effect.andThen(Effect.sleep(20 + Math.floor(random() * 600)), kill(node, dataDir, round % 2 === 0))
                ],
                { concurrency: 2 }
              )
              killedInFlight += senders.reduce((sum, { unacknowledged }) => sum + unacknowledged.length, 0)
              for (const client of [...clients, ...listening]) yield* client.closed
            }
            for (const [n, listener] of listeners.entries()) {
              const client = listening[n]
              if (client !== undefined) listener.take(client)
            }

            // After each start, every message that was acknowledged is there, once and without a gap.
            if (!last) return
            for (const conversationId of new Set(senders.map((sender) => sender.conversationId))) {
              const own = senders.filter((sender) => sender.conversationId === conversationId)
              const [first] = own
              if (first === undefined) continue
              const history = yield* http.history(first.account, conversationId)
              assert.deepStrictEqual(
                history.map(({ seq }) => seq),
                range(2, history.length + 1)
              )
              const acknowledged = own.flatMap((sender) => sender.acknowledged)
              assert.deepStrictEqual(
                new Map(history.map((message) => [message.clientMessageId, message.seq])),
                new Map([...acknowledged].sort(([, x], [, y]) => x - y))
              )
              assert.strictEqual(acknowledged.length, history.length)
              for (const sender of own) {
                const order = history
                  .filter((message) => sender.sent.has(message.clientMessageId))
                  .map((message) => message.clientMessageId)
                assert.deepStrictEqual(order, [...sender.sent.keys()])
              }
              for (const { body, clientMessageId } of history) assert.strictEqual(body, `body of ${clientMessageId}`)
              // Every event that a client has received is in the log.
              for (const listener of listeners.filter((each) => each.conversationId === conversationId)) {
                for (const [seq, body] of listener.bodies) assert.strictEqual(history[seq - 2]?.body, body)
              }
            }
          })
        )
      }
      const total = senders.reduce((sum, { sent }) => sum + sent.size, 0)
      // How many it is depends on the machine.
      assert.isAbove(total, senders.length)
      // The service died with sends in flight.
      assert.isAbove(killedInFlight, 0)
    }).pipe(Effect.scoped)
  )
})
