import { hash } from "node:crypto"
import { Effect, Layer, Option, Schema } from "effect"
import type { ChainableCommander, Redis as Client } from "ioredis"
import type { UserId } from "../domain/Ids.ts"
import { PresenceStatus } from "../domain/Presence.ts"
import { Acquaintances } from "../services/Acquaintances.ts"
import { Presence } from "../services/Presence.ts"
import { type PresenceRecord, PresenceStore, PresenceUnknown, type Report, sight } from "../services/PresenceStore.ts"
import { Redis } from "./Redis.ts"

/** What is kept of a user who does not come back. */
const retentionMs = 30 * 24 * 3600 * 1000

/**
 * A user is one hash: `choice` ("<status> <when>"), `seen`, `at`, and a field for each node ("<device> <seen> <until>").
 * Times are Redis's own, in milliseconds, so that no node's clock counts. The rule is that of PresenceStore's `take`.
 */
const takeLua = `
local key, node, device, lifetime, ago, chosen, chosenWhen, retention = KEYS[1], unpack(ARGV)
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local text = function(...) return string.format(...) end
local choice, chosenAt, seen, at, nodes = "", 0, -1, 0, {}
local fields = redis.call("HGETALL", key)
for i = 1, #fields, 2 do
  local name, value = fields[i], fields[i + 1]
  if name == "choice" then
    local status, when = string.match(value, "^(%a+) (%d+)$")
    choice, chosenAt = status, tonumber(when)
  elseif name == "seen" then
    seen = tonumber(value)
  elseif name == "at" then
    at = tonumber(value)
  else
    local status, last, till = string.match(value, "^(%a+) (%d+) (%d+)$")
    nodes[name] = { status = status, seen = tonumber(last), till = tonumber(till) }
  end
end

local function shown()
  local best = ""
  for _, each in pairs(nodes) do
    if each.till > now and best ~= "online" then best = each.status end
  end
  if best == "" or choice == "invisible" then return "offline" end
  return (choice == "" or choice == "auto") and best or choice
end

local before = shown()
for name, each in pairs(nodes) do
  if each.till <= now then
    if before == "offline" and choice ~= "invisible" then
      at = math.max(at, each.till)
      seen = math.max(seen, each.seen)
    end
    redis.call("HDEL", key, name)
    nodes[name] = nil
  end
end
if chosen ~= "" and (chosenWhen == "" or tonumber(chosenWhen) > chosenAt) then
  if chosen == "invisible" and before ~= "offline" then seen = now end
  choice = chosen
  chosenAt = chosenWhen == "" and math.max(now, chosenAt + 1) or tonumber(chosenWhen)
  redis.call("HSET", key, "choice", text("%s %.0f", choice, chosenAt))
end
if device == "gone" then
  redis.call("HDEL", key, "n:" .. node)
  nodes["n:" .. node] = nil
  if choice ~= "invisible" then seen = math.max(seen, now - ago) end
elseif device ~= "" then
  local each = { status = device, seen = now - ago, till = now + lifetime }
  nodes["n:" .. node] = each
  redis.call("HSET", key, "n:" .. node, text("%s %.0f %.0f", each.status, each.seen, each.till))
end
local after = shown()
if after ~= before then at = math.max(now, at + 1) end
redis.call("HSET", key, "at", text("%.0f", at))
if seen >= 0 then redis.call("HSET", key, "seen", text("%.0f", seen)) end
redis.call("PEXPIRE", key, retention)
return { after, after == "offline" and seen or now, at, after == before and 0 or 1, choice, chosenAt }
`
const takeSha = hash("sha1", takeLua)

const choices = Schema.Literals(["auto", "online", "away", "dnd", "invisible"])
const decodeAnswers = Schema.decodeUnknownEffect(
  Schema.Array(
    Schema.Tuple([
      PresenceStatus,
      Schema.Int,
      Schema.Int,
      Schema.Int,
      Schema.Union([choices, Schema.Literal("")]),
      Schema.Int
    ])
  )
)
const decodeTime = Schema.decodeUnknownEffect(Schema.Tuple([Schema.NumberFromString, Schema.NumberFromString]))
const decodeHashes = Schema.decodeUnknownEffect(Schema.Array(Schema.Record(Schema.String, Schema.String)))
const decodeChoice = Schema.decodeUnknownOption(choices)

const recordOf = (fields: Readonly<Record<string, string>>): PresenceRecord => {
  const nodes: PresenceRecord["nodes"] = new Map()
  for (const [name, value] of Object.entries(fields)) {
    const [device, seenAt, until] = value.split(" ")
    if (name.startsWith("n:"))
      nodes.set(name, { device: device === "online" ? "online" : "away", seenAt: Number(seenAt), until: Number(until) })
  }
  const [status, when] = (fields.choice ?? "").split(" ")
  const choice = Option.getOrNull(Option.map(decodeChoice(status), (status) => ({ status, at: Number(when) })))
  return { nodes, choice, seenAt: fields.seen === undefined ? null : Number(fields.seen), at: Number(fields.at ?? 0) }
}

const argumentsOf = (nodeId: string, { agoMs, choice, device, lifetimeMs }: Report) => [
  nodeId,
  device === undefined ? "" : (device ?? "gone"),
  Math.ceil(lifetimeMs),
  Math.floor(agoMs),
  choice?.status ?? "",
  choice?.at ?? "",
  retentionMs
]

/** All or, at the first error of any of them, nothing. */
const exec = async (pipeline: ChainableCommander): Promise<ReadonlyArray<unknown>> => {
  const results = (await pipeline.exec()) ?? []
  return results.map(([error, result]) => {
    if (error !== null) throw error
    return result
  })
}

/** Presence is kept in Redis, one pipeline for each call. */
export const layerStore = Layer.effect(
  PresenceStore,
  Effect.gen(function* () {
    const redis = yield* Redis
    const keyOf = (userId: UserId) => `${redis.prefix}presence:${userId}`

    const run = (f: (client: Client) => ChainableCommander) => redis.use((client) => exec(f(client)))
    const orUnknown = Effect.mapError(({ message }: { readonly message: string }) => new PresenceUnknown({ message }))

    return PresenceStore.of({
      report: Effect.fn("RedisPresence.report")(function* (nodeId, reports) {
        const replies = yield* run((client) =>
          // The first one brings the script, should it not be there.
          reports.reduce(
            (pipeline, report, i) =>
              i === 0
                ? pipeline.eval(takeLua, 1, keyOf(report.userId), ...argumentsOf(nodeId, report))
                : pipeline.evalsha(takeSha, 1, keyOf(report.userId), ...argumentsOf(nodeId, report)),
            client.pipeline()
          )
        )
        return (yield* decodeAnswers(replies)).map(([status, seenAt, at, changed, choice, chosenAt]) => ({
          sighting: { status, seenAt: seenAt < 0 ? null : seenAt, at },
          changed: changed === 1,
          choice: choice === "" ? null : { status: choice, at: chosenAt }
        }))
      }, orUnknown),
      read: Effect.fn("RedisPresence.read")(function* (userIds) {
        if (userIds.length === 0) return []
        const [time, ...hashes] = yield* run((client) =>
          userIds.reduce((pipeline, userId) => pipeline.hgetall(keyOf(userId)), client.pipeline().time())
        )
        const [seconds, micros] = yield* decodeTime(time)
        const now = seconds * 1000 + Math.floor(micros / 1000)
        return (yield* decodeHashes(hashes)).map((fields) =>
          Object.keys(fields).length === 0 ? null : sight(recordOf(fields), now)
        )
      }, orUnknown),
      onReturn: redis.onReconnect,
      returnSpread: redis.reconnectMs
    })
  })
)

/** Presence shared by all nodes through Redis, on any bus; PostgreSQL says who knows whom. */
export const layer = Presence.layerNoDeps.pipe(Layer.provide([Acquaintances.layer, layerStore]))
