import { hash } from "node:crypto"
import { Effect, Layer, Option, Schema } from "effect"
import type { ChainableCommander, Redis as Client } from "ioredis"
import type { UserId } from "../../domain/Ids.ts"
import { PresenceStatus } from "../../domain/Presence.ts"
import * as Presence from "../../services/presence/layer.ts"
import { observe, type PresenceRecord } from "../../services/presence/PresenceRecord.ts"
import { PresenceStore, PresenceUnknown, type Report } from "../../services/presence/PresenceStore.ts"
import { Redis } from "./Redis.ts"

/** How long the presence of a user is kept after the last change, in milliseconds. */
const retentionMs = 30 * 24 * 3600 * 1000

/**
 * Applies a report of a node to a user's presence. Each user is one hash with the fields `choice` ("<status> <when>"),
 * `seen`, `at`, and one field for each node ("<device> <seen> <until>"). Times are in milliseconds and come from Redis, so
 * the clocks of the nodes do not matter. The rule is the same as that of `applyReport`. A key of another type or without
 * an expiry is deleted first, and so are fields of another form; the last value of the answer is 1 if that happened.
 */
const takeLua = `
local key, node, device, lifetime, ago, chosen, chosenWhen, retention = KEYS[1], unpack(ARGV)
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local text = function(...) return string.format(...) end
local choice, chosenAt, seen, at, nodes, broken = "", 0, -1, 0, {}, 0
local choices = { auto = true, online = true, away = true, dnd = true, invisible = true }
local kind = redis.call("TYPE", key).ok
if kind ~= "none" and (kind ~= "hash" or redis.call("PTTL", key) == -1) then
  redis.call("DEL", key)
  broken = 1
end
local fields = redis.call("HGETALL", key)
for i = 1, #fields, 2 do
  local name, value = fields[i], fields[i + 1]
  local number = string.match(value, "^%d+$") and tonumber(value)
  local status, last, till = string.match(value, "^(%a+) (%d+) ?(%d*)$")
  if name == "choice" and choices[status] and till == "" then
    choice, chosenAt = status, tonumber(last)
  elseif name == "seen" and number then
    seen = number
  elseif name == "at" and number then
    at = number
  elseif (status == "online" or status == "away") and till ~= "" then
    nodes[name] = { status = status, seen = tonumber(last), till = tonumber(till) }
  else
    redis.call("HDEL", key, name)
    broken = 1
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
return { after, after == "offline" and seen or now, at, after == before and 0 or 1, choice, chosenAt, broken }
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
      Schema.Int,
      Schema.Int
    ])
  )
)
const decodeTime = Schema.decodeUnknownEffect(Schema.Tuple([Schema.NumberFromString, Schema.NumberFromString]))
const decodeHashes = Schema.decodeUnknownEffect(Schema.Array(Schema.Record(Schema.String, Schema.String)))
const decodeChoice = Schema.decodeUnknownOption(choices)

/** A time in milliseconds, or undefined if the text is none. */
const timeOf = (text: string | undefined) => (text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined)

/** Reads the fields of a user. Fields of another form count as missing; the next report deletes them. */
const recordOf = (fields: Readonly<Record<string, string>>): PresenceRecord => {
  const nodes: PresenceRecord["nodes"] = new Map()
  for (const [name, value] of Object.entries(fields)) {
    const [device, seen, till] = value.split(" ")
    const [seenAt, until] = [timeOf(seen), timeOf(till)]
    if (name.startsWith("n:") && seenAt !== undefined && until !== undefined)
      nodes.set(name, { device: device === "online" ? "online" : "away", seenAt, until })
  }
  const [status, when] = (fields.choice ?? "").split(" ")
  const chosenAt = timeOf(when)
  const chosen = Option.getOrUndefined(decodeChoice(status))
  const choice = chosen === undefined || chosenAt === undefined ? null : { status: chosen, at: chosenAt }
  return { nodes, choice, seenAt: timeOf(fields.seen) ?? null, at: timeOf(fields.at) ?? 0 }
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

/** The result of a command on a key of the wrong type. */
const wrongType = Symbol("WRONGTYPE")

/** Runs a pipeline and returns its results, or throws the first error of any command but that of a wrong type. */
const exec = async (pipeline: ChainableCommander): Promise<ReadonlyArray<unknown>> => {
  const results = (await pipeline.exec()) ?? []
  return results.map(([error, result]) => {
    if (error?.message.startsWith("WRONGTYPE")) return wrongType
    if (error !== null) throw error
    return result
  })
}

/** Keeps presence in Redis. Each call is one pipeline, that is, one round trip. */
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
          // The first command sends the script, in case Redis does not have it.
          reports.reduce(
            (pipeline, report, i) =>
              i === 0
                ? pipeline.eval(takeLua, 1, keyOf(report.userId), ...argumentsOf(nodeId, report))
                : pipeline.evalsha(takeSha, 1, keyOf(report.userId), ...argumentsOf(nodeId, report)),
            client.pipeline()
          )
        )
        const answers = yield* decodeAnswers(replies)
        const broken = answers.filter(([, , , , , , broken]) => broken === 1).length
        if (broken > 0) redis.countDeleted("presence", broken)
        return answers.map(([status, seenAt, at, changed, choice, chosenAt]) => ({
          observed: { status, seenAt: seenAt < 0 ? null : seenAt, at },
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
        const foreign = userIds.filter((_, i) => hashes[i] === wrongType).map(keyOf)
        if (foreign.length > 0) {
          redis.countDeleted("presence", yield* redis.use((client) => client.del(...foreign)))
        }
        const known = hashes.map((fields) => (fields === wrongType ? {} : fields))
        return (yield* decodeHashes(known)).map((fields) =>
          Object.keys(fields).length === 0 ? null : observe(recordOf(fields), now)
        )
      }, orUnknown),
      onReturn: redis.onReconnect,
      returnSpread: redis.reconnectMs
    })
  })
)

/** Presence that all nodes share through Redis. It works on any bus; PostgreSQL knows the contacts. */
export const layer = Presence.layerNoDeps.pipe(Layer.provide(layerStore))
