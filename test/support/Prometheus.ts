import { spawn, spawnSync } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect, Schedule, Schema } from "effect"
import * as Yaml from "effect/encoding/Yaml"
import { freePort, temporaryDirectory } from "./Servers.ts"
import { patience } from "./TimeLimits.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** The path of a file of the repository. */
export const inRepository = (path: string) => join(root, path)

/** Whether Prometheus and promtool are installed. */
export const prometheusIsThere = existsSync("/usr/bin/prometheus") && existsSync("/usr/bin/promtool")

/** Runs promtool, and returns its output and whether it succeeded. */
export const promtool = (args: ReadonlyArray<string>, input = "") => {
  const { status, stderr, stdout } = spawnSync("promtool", args, { cwd: root, input, encoding: "utf8" })
  return { ok: status === 0, said: stdout + stderr }
}

const decodeRules = Schema.decodeUnknownSync(
  Schema.Struct({
    groups: Schema.Array(
      Schema.Struct({
        rules: Schema.Array(
          Schema.Struct({
            alert: Schema.String,
            expr: Schema.String,
            annotations: Schema.Struct({ summary: Schema.String, runbook_url: Schema.String })
          })
        )
      })
    )
  })
)

/** The alert rules of the repository. */
export const rules = decodeRules(
  Yaml.parse(readFileSync(inRepository("deploy/prometheus/rules/chat.yml"), "utf8"))
).groups.flatMap((group) => group.rules)

const Answer = Schema.fromJsonString(
  Schema.Struct({
    status: Schema.String,
    error: Schema.optionalKey(Schema.String),
    data: Schema.optionalKey(Schema.Unknown)
  })
)

const Vector = Schema.Struct({
  result: Schema.Array(
    Schema.Struct({
      metric: Schema.Record(Schema.String, Schema.String),
      value: Schema.Tuple([Schema.Finite, Schema.String])
    })
  )
})
const Exemplars = Schema.Array(
  Schema.Struct({
    seriesLabels: Schema.Record(Schema.String, Schema.String),
    exemplars: Schema.Array(Schema.Struct({ labels: Schema.Record(Schema.String, Schema.String) }))
  })
)

/** A real Prometheus that scrapes a node once a second, with our rules. It ends with the scope. */
export const startPrometheus = Effect.fnUntraced(function* (nodeUrl: string) {
  const directory = yield* temporaryDirectory("prometheus")
  const port = yield* freePort
  const config = join(directory, "prometheus.yml")
  writeFileSync(
    config,
    JSON.stringify({
      global: { scrape_interval: "1s", scrape_timeout: "1s", evaluation_interval: "1s" },
      rule_files: [inRepository("deploy/prometheus/rules/*.yml")],
      scrape_configs: [{ job_name: "chat-service", static_configs: [{ targets: [new URL(nodeUrl).host] }] }]
    })
  )
  const said: Array<string> = []
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(
        "prometheus",
        [
          `--config.file=${config}`,
          `--storage.tsdb.path=${join(directory, "data")}`,
          `--web.listen-address=127.0.0.1:${port}`,
          "--enable-feature=exemplar-storage"
        ],
        { stdio: ["ignore", "ignore", "pipe"] }
      )
    ),
    (started) =>
      Effect.callback<void>((resume) => {
        if (started.exitCode !== null || started.signalCode !== null) return resume(Effect.void)
        started.once("exit", () => resume(Effect.void))
        started.kill("SIGKILL")
      })
  )
  child.stderr.on("data", (chunk) => said.push(String(chunk)))

  const ask = (path: string, parameters: Record<string, string>) =>
    Effect.tryPromise(() =>
      fetch(`http://127.0.0.1:${port}/api/v1/${path}?${new URLSearchParams(parameters)}`).then((answer) =>
        answer.text()
      )
    ).pipe(Effect.flatMap(Schema.decodeEffect(Answer)))

  /** The current value of a PromQL expression. */
  const query = (expr: string) =>
    Effect.flatMap(ask("query", { query: expr }), ({ data, error }) =>
      error === undefined
        ? Effect.map(Schema.decodeUnknownEffect(Vector)(data), ({ result }) => result)
        : Effect.die(new Error(`${expr}: ${error}`))
    )

  const exemplars = (selector: string, from: number, to: number) =>
    Effect.flatMap(
      ask("query_exemplars", { query: selector, start: String(from / 1000), end: String(to / 1000) }),
      ({ data }) => Schema.decodeUnknownEffect(Exemplars)(data)
    )

  const up = query('count_over_time(up{job="chat-service"}[1m])').pipe(
    Effect.retry({ schedule: Schedule.spaced("100 millis") }),
    Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.die(new Error(said.join("").slice(-2000))) })
  )
  yield* up

  return { query, exemplars }
})
