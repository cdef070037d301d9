/**
 * Every metric, with its labels and their values. The text of a metric says what it counts; a name ends in its unit, such as
 * `_seconds` or `_total`.
 */
import type { Definition, Labels } from "./Metrics.ts"

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const shortSeconds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1]
const entries = [1, 2, 4, 8, 16, 32, 64, 128, 256]

const counter = <const L extends Labels>(name: string, help: string, labels: L): Definition<"counter", L> => ({
  kind: "counter",
  name,
  help,
  labels,
  buckets: []
})

const gauge = <const L extends Labels>(name: string, help: string, labels: L): Definition<"gauge", L> => ({
  ...counter(name, help, labels),
  kind: "gauge"
})

const histogram = <const L extends Labels>(
  name: string,
  help: string,
  labels: L,
  buckets: ReadonlyArray<number> = seconds
): Definition<"histogram", L> => ({ ...counter(name, help, labels), kind: "histogram", buckets })

const kinds = ["dm", "group"]
const outcomes = ["ok", "error"]
const queues = ["messages", "reads", "deliveries", "presence", "audit", "sessions"]

// Requests over HTTP. `route` is the template of the path, "none" when no route matches.
export const httpRequests = counter("chat_http_requests_total", "Requests answered", {
  method: "open",
  route: "open",
  status: "open"
})
export const httpDuration = histogram("chat_http_request_duration_seconds", "From a request to its answer", {
  method: "open",
  route: "open"
})
export const httpInFlight = gauge("chat_http_requests_in_flight", "Requests that are being answered", { route: "open" })
export const eventStreams = gauge("chat_event_streams", "Open streams of Server-Sent Events", {})

// PostgreSQL. `operation` names the function that a statement calls, or its verb and table.
export const databaseConnections = gauge(
  "chat_database_connections",
  "Statements that hold a connection or wait for one",
  { state: ["in-use", "waiting"] }
)
export const databaseConnectionsMax = gauge("chat_database_connections_max", "Connections that the pool may open", {})
export const databaseQueries = counter("chat_database_queries_total", "Statements that have ended", {
  operation: "open",
  outcome: outcomes
})
export const databaseDuration = histogram(
  "chat_database_query_duration_seconds",
  "From a statement on its connection to its rows",
  { operation: "open" }
)
export const databaseWait = histogram(
  "chat_database_connection_wait_seconds",
  "How long a statement waits for a connection of the pool",
  {},
  shortSeconds
)

// Sockets. `op` is the name of an operation, or "unknown" for any other text.
export const sockets = gauge("chat_websocket_connections", "Open WebSockets", { state: ["opening", "open"] })
export const socketsClosed = counter("chat_websocket_closed_total", "WebSockets that have ended, by reason", {
  reason: "open"
})
export const socketMessages = counter("chat_websocket_messages_total", "Frames of WebSockets", {
  direction: ["received", "sent"]
})
export const commands = counter("chat_websocket_commands_total", "Commands answered, by `ok` or the kind of problem", {
  op: "open",
  outcome: "open"
})
export const commandDuration = histogram("chat_websocket_command_duration_seconds", "From a command to its answer", {
  op: "open"
})

// Calls over RPC. A stream is not counted as a call.
export const rpcConnections = gauge("chat_rpc_connections", "Open WebSockets that carry calls", {})
export const rpcCalls = counter("chat_rpc_calls_total", "Calls answered, by `ok` or the kind of problem", {
  op: "open",
  outcome: "open"
})
export const rpcDuration = histogram("chat_rpc_call_duration_seconds", "From a call to its answer", { op: "open" })

// Actions of users.
export const usersRegistered = counter("chat_users_registered_total", "Accounts created", {})
export const conversationsCreated = counter("chat_conversations_created_total", "Conversations created", {
  kind: kinds
})
export const messagesSent = counter("chat_messages_sent_total", "Messages stored", { kind: kinds })
export const authFailures = counter("chat_auth_failures_total", "Refused logins and tokens", {
  reason: [
    "password",
    "refresh-token",
    "refresh-reuse",
    "token-invalid",
    "token-expired",
    "session-ended",
    "service-token",
    "forbidden"
  ]
})
// `issuer` is a name of the settings.
export const issuerKeyFetches = counter("chat_issuer_key_fetches_total", "Attempts to fetch the keys of an issuer", {
  issuer: "open",
  outcome: outcomes
})
export const issuerKeysFailing = gauge(
  "chat_issuer_keys_failing",
  "1 while the keys of an issuer cannot be fetched, else 0",
  { issuer: "open" }
)
export const limitHits = counter("chat_limit_hits_total", "Requests refused by a rate limit", {
  limit: "open"
})
export const loadLevel = gauge("chat_load_level", "How much this node sheds: 0 nothing, 4 sends too", {})
export const shedWork = counter("chat_load_shed_total", "What was not done because the node was too busy", {
  work: ["presence", "connections", "reads", "sends"]
})
export const presentUsers = gauge("chat_presence_users", "Users with a device on this node", {})
export const presenceChanges = counter("chat_presence_changes_total", "Changes of presence sent to watchers", {})

// Files.
const uploadKinds = ["attachment", "avatar"]
export const uploads = counter("chat_uploads_total", "Files stored", { kind: uploadKinds })
export const uploadBytes = counter("chat_upload_bytes_total", "Bytes of files stored", { kind: uploadKinds })
export const uploadsRefused = counter("chat_uploads_refused_total", "Uploads that were not stored, by reason", {
  reason: ["invalid", "too-large", "storage-full", "too-many", "unavailable", "interrupted"]
})
export const decoderStarts = counter(
  "chat_picture_decoder_starts_total",
  "Starts of the process that decodes pictures: the first one, and one after each end or picture that took too long",
  {}
)

// From a commit to the sockets.
export const commitBatch = histogram(
  "chat_commit_batch_entries",
  "How many entries one commit has",
  { queue: queues },
  entries
)
export const commitDuration = histogram("chat_commit_duration_seconds", "How long a commit of a batch takes", {
  queue: queues
})
export const commitQueue = gauge("chat_commit_queue_entries", "Entries that wait for their commit", { queue: queues })
export const busEvents = counter(
  "chat_bus_events_total",
  "Events for other nodes, by whether the bus took them or there was no other node, refused messages of unknown origin, and ignored events that came too late",
  {
    outcome: ["sent", "skipped", "dropped", "refused", "late"]
  }
)
export const followed = gauge(
  "chat_followed_conversations",
  "Conversations that a socket or stream of this node follows",
  {}
)
export const fanOut = histogram(
  "chat_fanout_duration_seconds",
  "How long it takes to hand events from the bus to all subscribers",
  {},
  shortSeconds
)
export const deliveries = counter("chat_deliveries_total", "Durable events handed to subscribers", {})
export const repairedEvents = counter(
  "chat_repaired_events_total",
  "Events read from the log because the bus lost them, by what showed it: a later event, or the head of the log",
  { cause: ["hole", "head"] }
)
export const resumes = counter("chat_resumes_total", "Sockets and streams that resumed", {})
export const replayedEvents = counter(
  "chat_replayed_events_total",
  "Events read from the log for clients that resumed",
  {}
)
export const resets = counter(
  "chat_conversation_resets_total",
  "Conversations too far behind to replay, which the client fetches again",
  {}
)
export const slowConsumers = counter("chat_slow_consumer_steps_total", "Measures taken against slow consumers", {
  step: ["ephemeral-dropped", "bodies-stopped", "closed"]
})
export const heartbeatTimeouts = counter("chat_heartbeat_timeouts_total", "Sockets that did not answer a ping", {})

// The node.
export const dependencyUp = gauge("chat_dependency_up", "1 while a dependency is up, 0 while it is down", {
  dependency: "open"
})
export const dependencyLatency = gauge("chat_dependency_latency_seconds", "How long the last probe took", {
  dependency: "open"
})
export const changeFeedStalled = gauge(
  "chat_change_feed_stalled_seconds",
  "For how long a consumer of the change feed has not moved although there is something to do",
  { consumer: "open" }
)
export const redisKeysDeleted = counter(
  "chat_redis_keys_deleted_total",
  "Keys in Redis that were deleted because they had another type or form than the service writes, or no expiry",
  { kind: ["limit", "presence"] }
)
export const draining = gauge("chat_draining", "1 while the node drains", {})
export const buildInfo = gauge("chat_build_info", "Always 1; the labels name the versions", {
  version: "open",
  node_version: "open"
})
