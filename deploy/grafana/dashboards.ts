// Writes the dashboards that Grafana reads: `node deploy/grafana/dashboards.ts`. A test fails if the files are not up to date.
import { writeFileSync } from "node:fs"

interface Query {
  readonly expr: string
  readonly legend: string
  /** Whether the panel shows exemplars, which link to traces. Only histograms have them. */
  readonly exemplars?: true
}

interface Panel {
  readonly title: string
  readonly description?: string
  readonly type?: "timeseries" | "stat"
  readonly unit: "reqps" | "ops" | "s" | "percentunit" | "short" | "bytes"
  readonly queries: ReadonlyArray<Query>
}

interface Dashboard {
  readonly uid: string
  readonly title: string
  readonly rows: ReadonlyArray<{ readonly title: string; readonly panels: ReadonlyArray<Panel> }>
}

const rate = (metric: string, labels = "") => `rate(${metric}${labels === "" ? "" : `{${labels}}`}[$__rate_interval])`
const by = (label: string, expr: string): Query => ({ expr: `sum by (${label}) (${expr})`, legend: `{{${label}}}` })
const total = (legend: string, expr: string): Query => ({ expr: `sum(${expr})`, legend })
/** The share of `some` in `all`. Without any of them it is 0 instead of no value. */
const share = (legend: string, some: string, all: string): Query => ({
  expr: `(sum(${some}) or vector(0)) / sum(${all})`,
  legend
})

const quantiles = (metric: string, labels = ""): ReadonlyArray<Query> =>
  ["0.5", "0.95", "0.99"].map((quantile) => ({
    expr: `histogram_quantile(${quantile}, sum by (le) (${rate(`${metric}_bucket`, labels)}))`,
    legend: `p${Number(quantile) * 100}`,
    ...(quantile === "0.99" && { exemplars: true })
  }))

const quantileBy = (label: string, metric: string): Query => ({
  expr: `histogram_quantile(0.99, sum by (${label}, le) (${rate(`${metric}_bucket`)}))`,
  legend: `{{${label}}}`,
  exemplars: true
})

const average = (label: string, metric: string): Query => ({
  expr: `sum by (${label}) (${rate(`${metric}_sum`)}) / sum by (${label}) (${rate(`${metric}_count`)})`,
  legend: `{{${label}}}`
})

const perNode = (expr: string): Query => ({ expr, legend: "{{instance}}" })

const overview: Dashboard = {
  uid: "chat-overview",
  title: "Chat: overview",
  rows: [
    {
      title: "Availability",
      panels: [
        { title: "Nodes by release", type: "stat", unit: "short", queries: [by("version", "chat_build_info")] },
        {
          title: "Dependencies",
          description: "1 while every node can reach it",
          type: "stat",
          unit: "short",
          queries: [{ expr: "min by (dependency) (chat_dependency_up)", legend: "{{dependency}}" }]
        },
        { title: "Draining nodes", type: "stat", unit: "short", queries: [total("draining", "chat_draining")] },
        { title: "Open sockets", type: "stat", unit: "short", queries: [by("state", "chat_websocket_connections")] }
      ]
    },
    {
      title: "Rate",
      panels: [
        { title: "Requests by route", unit: "reqps", queries: [by("route", rate("chat_http_requests_total"))] },
        { title: "Commands by operation", unit: "ops", queries: [by("op", rate("chat_websocket_commands_total"))] },
        { title: "Calls over RPC by operation", unit: "ops", queries: [by("op", rate("chat_rpc_calls_total"))] },
        { title: "Requests in flight", unit: "short", queries: [by("route", "chat_http_requests_in_flight")] }
      ]
    },
    {
      title: "Errors",
      panels: [
        {
          title: "Requests that failed",
          description: "The share of 5xx answers, without those of /ready",
          unit: "percentunit",
          queries: [
            share(
              "5xx",
              rate("chat_http_requests_total", 'status=~"5..", route!="/ready"'),
              rate("chat_http_requests_total", 'route!="/ready"')
            )
          ]
        },
        {
          title: "Commands that failed",
          description: "The share of commands that failed because of a bug or an unavailable dependency",
          unit: "percentunit",
          queries: [
            share(
              "failed",
              rate("chat_websocket_commands_total", 'outcome=~"internal|unavailable"'),
              rate("chat_websocket_commands_total")
            )
          ]
        },
        {
          title: "Refused requests by status",
          unit: "reqps",
          queries: [by("status", rate("chat_http_requests_total", 'status=~"4.."'))]
        }
      ]
    },
    {
      title: "Duration",
      panels: [
        { title: "Requests", unit: "s", queries: quantiles("chat_http_request_duration_seconds") },
        {
          title: "Sending a message over a socket",
          unit: "s",
          queries: quantiles("chat_websocket_command_duration_seconds", 'op="message.send"')
        },
        { title: "Calls over RPC", unit: "s", queries: quantiles("chat_rpc_call_duration_seconds") },
        {
          title: "Slowest routes (p99)",
          unit: "s",
          queries: [quantileBy("route", "chat_http_request_duration_seconds")]
        }
      ]
    },
    {
      title: "Saturation",
      panels: [
        { title: "Event loop lag (p99)", unit: "s", queries: [perNode("nodejs_eventloop_lag_p99_seconds")] },
        { title: "CPU", unit: "percentunit", queries: [perNode(rate("process_cpu_seconds_total"))] },
        { title: "Memory", unit: "bytes", queries: [perNode("process_resident_memory_bytes")] },
        {
          title: "Database connections in use",
          unit: "percentunit",
          queries: [
            perNode(
              'sum by (instance) (chat_database_connections{state="in-use"}) / sum by (instance) (chat_database_connections_max)'
            )
          ]
        },
        { title: "Entries that wait for a commit", unit: "short", queries: [by("queue", "chat_commit_queue_entries")] },
        {
          title: "File descriptors",
          unit: "percentunit",
          queries: [perNode("process_open_fds / process_max_fds")]
        }
      ]
    }
  ]
}

const realtime: Dashboard = {
  uid: "chat-realtime",
  title: "Chat: realtime",
  rows: [
    {
      title: "Sockets",
      panels: [
        { title: "Sockets by node", unit: "short", queries: [by("instance", "chat_websocket_connections")] },
        { title: "Ends by reason", unit: "ops", queries: [by("reason", rate("chat_websocket_closed_total"))] },
        { title: "Frames", unit: "ops", queries: [by("direction", rate("chat_websocket_messages_total"))] },
        { title: "Event streams", unit: "short", queries: [total("streams", "chat_event_streams")] },
        { title: "Silent sockets", unit: "ops", queries: [total("time-outs", rate("chat_heartbeat_timeouts_total"))] },
        {
          title: "Commands by operation (p99)",
          unit: "s",
          queries: [quantileBy("op", "chat_websocket_command_duration_seconds")]
        }
      ]
    },
    {
      title: "From a command to the commit",
      panels: [
        { title: "Entries of a commit", unit: "short", queries: [average("queue", "chat_commit_batch_entries")] },
        { title: "Commits by queue (p99)", unit: "s", queries: [quantileBy("queue", "chat_commit_duration_seconds")] },
        { title: "Waiting entries", unit: "short", queries: [by("queue", "chat_commit_queue_entries")] }
      ]
    },
    {
      title: "From the commit to the sockets",
      panels: [
        { title: "Fan-out", unit: "s", queries: quantiles("chat_fanout_duration_seconds") },
        { title: "Deliveries", unit: "ops", queries: [total("deliveries", rate("chat_deliveries_total"))] },
        {
          title: "Followed conversations",
          unit: "short",
          queries: [by("instance", "chat_followed_conversations")]
        }
      ]
    },
    {
      title: "Missed events",
      panels: [
        {
          title: "Repairs by cause",
          description: "Events that the bus did not deliver, and that were read from the log",
          unit: "ops",
          queries: [by("cause", rate("chat_repaired_events_total"))]
        },
        {
          title: "Events for other nodes",
          description: "Events that NATS accepted or did not accept; the latter are repaired",
          unit: "ops",
          queries: [by("outcome", rate("chat_bus_events_total"))]
        },
        {
          title: "Resumes",
          unit: "ops",
          queries: [
            total("resumes", rate("chat_resumes_total")),
            total("replayed events", rate("chat_replayed_events_total")),
            total("resets", rate("chat_conversation_resets_total"))
          ]
        },
        { title: "Slow readers", unit: "ops", queries: [by("step", rate("chat_slow_consumer_steps_total"))] }
      ]
    },
    {
      title: "Presence",
      panels: [
        { title: "Users with a device", unit: "short", queries: [by("instance", "chat_presence_users")] },
        { title: "Changes sent", unit: "ops", queries: [total("changes", rate("chat_presence_changes_total"))] }
      ]
    }
  ]
}

const database: Dashboard = {
  uid: "chat-database",
  title: "Chat: database",
  rows: [
    {
      title: "Connections",
      panels: [
        {
          title: "Connections",
          unit: "short",
          queries: [by("state", "chat_database_connections"), total("most", "chat_database_connections_max")]
        },
        { title: "Waiting for a connection", unit: "s", queries: quantiles("chat_database_connection_wait_seconds") },
        {
          title: "Latency of dependencies",
          unit: "s",
          queries: [{ expr: "max by (dependency) (chat_dependency_latency_seconds)", legend: "{{dependency}}" }]
        }
      ]
    },
    {
      title: "Statements",
      panels: [
        { title: "Rate by operation", unit: "ops", queries: [by("operation", rate("chat_database_queries_total"))] },
        {
          title: "Failed",
          unit: "percentunit",
          queries: [
            share("failed", rate("chat_database_queries_total", 'outcome="error"'), rate("chat_database_queries_total"))
          ]
        },
        { title: "All (quantiles)", unit: "s", queries: quantiles("chat_database_query_duration_seconds") },
        {
          title: "By operation (p99)",
          unit: "s",
          queries: [quantileBy("operation", "chat_database_query_duration_seconds")]
        },
        {
          title: "Database time by operation",
          description: "Seconds of the database's time in a second",
          unit: "s",
          queries: [by("operation", rate("chat_database_query_duration_seconds_sum"))]
        },
        { title: "Commits by queue (p99)", unit: "s", queries: [quantileBy("queue", "chat_commit_duration_seconds")] }
      ]
    },
    {
      title: "Work that follows the writes",
      panels: [
        {
          title: "Standstill of the change feed",
          description: "For how long a consumer has not moved although there is something to do",
          unit: "s",
          queries: [{ expr: "max by (consumer) (chat_change_feed_stalled_seconds)", legend: "{{consumer}}" }]
        }
      ]
    }
  ]
}

const business: Dashboard = {
  uid: "chat-business",
  title: "Chat: business",
  rows: [
    {
      title: "People",
      panels: [
        {
          title: "New accounts in the last day",
          type: "stat",
          unit: "short",
          queries: [total("accounts", "increase(chat_users_registered_total[1d])")]
        },
        { title: "Connected users", type: "stat", unit: "short", queries: [total("users", "chat_presence_users")] },
        { title: "New accounts", unit: "ops", queries: [total("accounts", rate("chat_users_registered_total"))] }
      ]
    },
    {
      title: "Conversations",
      panels: [
        { title: "Messages by kind", unit: "ops", queries: [by("kind", rate("chat_messages_sent_total"))] },
        {
          title: "Messages in the last day",
          type: "stat",
          unit: "short",
          queries: [by("kind", "increase(chat_messages_sent_total[1d])")]
        },
        {
          title: "New conversations by kind",
          unit: "ops",
          queries: [by("kind", rate("chat_conversations_created_total"))]
        },
        {
          title: "Readers of a message",
          description: "Deliveries of durable events for each message stored",
          unit: "short",
          queries: [
            {
              expr: `sum(${rate("chat_deliveries_total")}) / sum(${rate("chat_messages_sent_total")})`,
              legend: "deliveries"
            }
          ]
        }
      ]
    },
    {
      title: "Files",
      panels: [
        { title: "Uploads", unit: "ops", queries: [by("kind", rate("chat_uploads_total"))] },
        { title: "Bytes of uploads", unit: "bytes", queries: [by("kind", rate("chat_upload_bytes_total"))] },
        { title: "Refused uploads", unit: "ops", queries: [by("reason", rate("chat_uploads_refused_total"))] },
        {
          title: "Store of files",
          description: "1 while every node can write to it",
          type: "stat",
          unit: "short",
          queries: [{ expr: 'min(chat_dependency_up{dependency="files"})', legend: "up" }]
        },
        {
          title: "Starts of the decoder of pictures",
          description: "More than one an hour says that pictures crash it",
          unit: "short",
          queries: [perNode("increase(chat_picture_decoder_starts_total[1h])")]
        }
      ]
    },
    {
      title: "Refused requests",
      panels: [
        { title: "Logins and tokens", unit: "ops", queries: [by("reason", rate("chat_auth_failures_total"))] },
        { title: "Limits", unit: "ops", queries: [by("limit", rate("chat_limit_hits_total"))] },
        {
          title: "Fetches of the keys of issuers",
          unit: "ops",
          queries: [by("outcome", rate("chat_issuer_key_fetches_total"))]
        }
      ]
    }
  ]
}

const datasource = { type: "prometheus", uid: "prometheus" }
const width = 8
const height = 8

const toPanel = (
  { description = "", queries, title, type = "timeseries", unit }: Panel,
  id: number,
  x: number,
  y: number
) => ({
  id,
  type,
  title,
  description,
  datasource,
  gridPos: { x, y, w: width, h: height },
  fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
  targets: queries.map(({ exemplars = false, expr, legend }, index) => ({
    refId: String.fromCharCode(65 + index),
    datasource,
    expr,
    legendFormat: legend,
    exemplar: exemplars
  }))
})

const toJson = ({ rows, title, uid }: Dashboard) => {
  let id = 0
  let y = 0
  const panels = rows.flatMap((row) => {
    const header = {
      id: ++id,
      type: "row",
      title: row.title,
      collapsed: false,
      gridPos: { x: 0, y: y++, w: 24, h: 1 },
      panels: []
    }
    const inRow = row.panels.map((panel, index) =>
      toPanel(panel, ++id, (index % 3) * width, y + Math.floor(index / 3) * height)
    )
    y += Math.ceil(row.panels.length / 3) * height
    return [header, ...inRow]
  })
  return {
    uid,
    title,
    tags: ["chat"],
    schemaVersion: 39,
    version: 1,
    editable: false,
    graphTooltip: 1,
    refresh: "30s",
    time: { from: "now-1h", to: "now" },
    timezone: "utc",
    templating: { list: [] },
    annotations: { list: [] },
    links: [
      { type: "dashboards", title: "Chat", tags: ["chat"], asDropdown: true, includeVars: false, keepTime: true }
    ],
    panels
  }
}

/** The files, by name. */
export const files: ReadonlyMap<string, string> = new Map(
  [overview, realtime, database, business].map((dashboard) => [
    `${dashboard.uid}.json`,
    `${JSON.stringify(toJson(dashboard), null, 2)}\n`
  ])
)

if (import.meta.main) {
  for (const [name, text] of files) writeFileSync(new URL(`dashboards/${name}`, import.meta.url), text)
}
