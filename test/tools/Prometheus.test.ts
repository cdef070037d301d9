import { readFileSync } from "node:fs"
import { assert, describe, it, layer } from "@effect/vitest"
import { Clock, Context, Effect, Layer, Schedule, Schema } from "effect"
import { files } from "../../deploy/grafana/dashboards.ts"
import * as Definitions from "../../src/services/platform/MetricDefinitions.ts"
import { api, connect } from "../support/Client.ts"
import { uploadTo } from "../support/Files.ts"
import { dataDirectory, startNode } from "../support/Node.ts"
import { inRepository, prometheusIsThere, promtool, rules, startPrometheus } from "../support/Prometheus.ts"
import { rpcClient, withToken } from "../support/Rpc.ts"
import { patience } from "../support/TimeLimits.ts"

const Dashboard = Schema.fromJsonString(
  Schema.Struct({
    uid: Schema.String,
    panels: Schema.Array(
      Schema.Struct({
        title: Schema.String,
        targets: Schema.optionalKey(
          Schema.Array(Schema.Struct({ expr: Schema.String, datasource: Schema.Struct({ uid: Schema.String }) }))
        )
      })
    )
  })
)

const dashboards = [...files.values()].map((text) => Schema.decodeSync(Dashboard)(text))

const operations = readFileSync(inRepository("docs/operations.md"), "utf8")

describe("what Grafana and Prometheus read", () => {
  it("dashboards are as their source has them, on the provisioned data source", () => {
    const sources = readFileSync(inRepository("deploy/grafana/provisioning/datasources/chat.yaml"), "utf8")
    for (const [name, text] of files) {
      assert.strictEqual(readFileSync(inRepository(`deploy/grafana/dashboards/${name}`), "utf8"), text, name)
    }
    assert.strictEqual(new Set(dashboards.map(({ uid }) => uid)).size, dashboards.length)
    const uids = dashboards.flatMap(({ panels }) =>
      panels.flatMap(({ targets = [] }) => targets.map((t) => t.datasource.uid))
    )
    for (const uid of new Set([...uids, "jaeger"])) assert.include(sources, `uid: ${uid}\n`)
  })

  it("every alert has its section in docs/operations.md, and every metric its line", () => {
    for (const { alert, annotations } of rules) {
      assert.strictEqual(annotations.runbook_url, `docs/operations.md#${alert.toLowerCase()}`)
      assert.include(operations, `\n#### ${alert}\n`)
    }
    for (const { name } of Object.values(Definitions)) assert.include(operations, `\`${name}\``)
  })
})

describe.skipIf(!prometheusIsThere)(`promtool${prometheusIsThere ? "" : " (apt: prometheus)"}`, () => {
  for (const args of [
    ["check", "config", "deploy/prometheus/prometheus.yml"],
    ["check", "rules", "deploy/prometheus/rules/chat.yml"],
    ["test", "rules", "deploy/prometheus/tests/chat.yml"]
  ]) {
    it(args.join(" "), () => {
      const { ok, said } = promtool(args)
      assert.isTrue(ok, said)
    })
  }
})

const issuerOfNobody = "https://app.example.com"
const tokenOfNobody = `${btoa('{"alg":"ES256"}')}.${btoa(JSON.stringify({ iss: issuerOfNobody }))}.x`.replaceAll(
  "=",
  ""
)

/** Causes a little of every kind of traffic, so that every metric has a value. */
const makeLoad = (url: string) =>
  Effect.gen(function* () {
    const http = api(url)
    const [ann, bob, cem] = [yield* http.register(), yield* http.register(), yield* http.register()]
    const [dm, group] = [yield* http.dm(ann, bob), yield* http.group(ann, bob, cem)]
    const rpc = yield* rpcClient(url, "http")
    const b = yield* connect(url)
    yield* b.ready(bob.token)
    let sends = 0
    return Effect.gen(function* () {
      const a = yield* connect(url)
      yield* a.ready(ann.token, sends === 0 ? {} : { cursors: { [dm]: 1, [group]: 1 } })
      for (const conversationId of [dm, group]) {
        const body = { conversationId, clientMessageId: `l${++sends}`, body: "load" }
        const { seq } = yield* a.ok("message.send", body)
        yield* b.ok("read.mark", { conversationId, seq })
        yield* b.ok("delivered.mark", { conversationId, seq })
      }
      yield* a.error("message.send", { conversationId: dm, clientMessageId: "", body: "" })
      yield* a.error("no.such.operation", {})
      yield* http.ask("GET", "/v1/conversations", { token: ann.token })
      yield* http.ask("GET", "/nowhere")
      yield* uploadTo(url, ann.token)
      yield* http.ask("GET", "/v1/users/me", { token: tokenOfNobody })
      yield* withToken(ann.token)(rpc["user.me"]())
      yield* http.ask("POST", "/v1/auth/login", { json: { login: cem.username, password: "wrong" } })
      for (let n = 0; n < 90; n++) a.request("ping")
      yield* a.next(({ error }) => error?.status === 429)
      a.terminate()
      yield* http.register()
    }).pipe(Effect.orDie)
  })

const loaded = Effect.gen(function* () {
  const node = yield* startNode({
    "data.dir": yield* dataDirectory,
    "tracing.enabled": "true",
    // Nothing listens there: exemplars do not depend on whether a trace arrived.
    "tracing.endpoint": "http://127.0.0.1:9/v1/traces",
    // Nor are there the keys of an issuer.
    "auth.issuers": JSON.stringify([{ issuer: issuerOfNobody, audience: "chat", jwks_uri: "http://127.0.0.1:9/jwks" }]),
    "limits.login_failures_per_minute": 1000
  })
  const since = yield* Clock.currentTimeMillis
  const prometheus = yield* startPrometheus(node.url)
  const load = yield* makeLoad(node.url)
  yield* load
  // A rate needs an increase between two scrapes.
  const scrapes = Effect.map(prometheus.query('count_over_time(up{job="chat-service"}[1m])'), ([count]) =>
    Number(count?.value[1] ?? 0)
  )
  const enough = (yield* scrapes) + 5
  yield* Effect.andThen(load, scrapes).pipe(
    Effect.repeat({ schedule: Schedule.spaced("300 millis"), until: (count) => count >= enough }),
    Effect.timeout(patience)
  )
  return { node, prometheus, since }
})

class Loaded extends Context.Service<Loaded, Effect.Success<typeof loaded>>()("chat/test/Loaded") {
  static readonly layer = Layer.effect(Loaded, loaded)
}

/** The condition of an alert as a number, which exists whether or not the alert fires. */
const conditionOf = (expr: string) =>
  (/^absent\((.*)\)$/.exec(expr)?.[1] ?? expr).replaceAll(/ (==|>|<) ([\d.e]+(?= or |$)|max_over_time)/g, " $1 bool $2")

describe.skipIf(!prometheusIsThere)(`Prometheus${prometheusIsThere ? "" : " (apt: prometheus)"}`, () => {
  layer(Loaded.layer, { excludeTestServices: true })("on a loaded node", (it) => {
    it.effect("accepts the metrics", () =>
      Effect.gen(function* () {
        const { node } = yield* Loaded
        const metrics = yield* Effect.promise(() => fetch(`${node.url}/metrics`).then((answer) => answer.text()))
        assert.deepStrictEqual(promtool(["check", "metrics"], metrics), { ok: true, said: "" })
      })
    )

    it.effect("has data for every query of dashboards and rules", () =>
      Effect.gen(function* () {
        const { prometheus } = yield* Loaded
        const shown = dashboards.flatMap(({ panels, uid }) =>
          panels.flatMap(({ targets = [], title }) =>
            targets.map(({ expr }) => ({ where: `${uid}: ${title}`, expr: expr.replaceAll("$__rate_interval", "20s") }))
          )
        )
        const asked = rules.map(({ alert, expr }) => ({ where: alert, expr: conditionOf(expr) }))
        const silent: Array<string> = []
        for (const { expr, where } of [...shown, ...asked]) {
          const result = yield* prometheus.query(expr)
          const numbers = result.filter(({ value }) => value[1] !== "NaN")
          if (numbers.length === 0) silent.push(`${where}: ${expr}`)
        }
        assert.deepStrictEqual(silent, [])
        assert.isAbove(shown.length, 60)
      })
    )

    it.effect("knows the traces behind requests, commands and statements", () =>
      Effect.gen(function* () {
        const { prometheus, since } = yield* Loaded
        for (const metric of [
          "chat_http_request_duration_seconds_bucket",
          'chat_websocket_command_duration_seconds_bucket{op="message.send"}',
          "chat_database_query_duration_seconds_bucket"
        ]) {
          const series = yield* prometheus.exemplars(metric, since, (yield* Clock.currentTimeMillis) + 1000)
          const traces = series.flatMap(({ exemplars }) => exemplars.map(({ labels }) => labels.trace_id))
          assert.match(String(traces[0]), /^[0-9a-f]{32}$/, metric)
        }
      })
    )

    it.effect("fires nothing at a healthy node", () =>
      Effect.gen(function* () {
        const { prometheus } = yield* Loaded
        const firing = yield* prometheus.query('ALERTS{alertstate="firing"}')
        assert.deepStrictEqual(
          firing.map(({ metric }) => metric.alertname),
          []
        )
      })
    )
  })
})
