import { randomUUID } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { OpenApi } from "effect/http-api"
import { Api } from "../../src/http/Api.ts"
import { AllOperations, Operations } from "../../src/rpc/Operations.ts"
import { type Account, api, type Client, connect } from "../support/Client.ts"
import { gatewayService, Service } from "../support/GatewayService.ts"

/**
 * Who may do what, over every transport: each operation as everybody, on what is theirs, on what is others' and on what
 * does not exist. An operation that has no row here fails the test.
 */

type Verdict = "ok" | "unauthenticated" | "not-found" | "forbidden" | "conflict"

/** `author` wrote the message that it is about. `former` was a member, and was removed by another. */
const roles = ["stranger", "former", "member", "author", "admin", "owner"] as const
type Role = (typeof roles)[number]
type Verdicts = Readonly<Record<Role, Verdict>>

const outside = { stranger: "not-found", former: "not-found" } as const
const all = (verdict: Verdict): Verdicts => ({
  ...{ stranger: verdict, former: verdict },
  ...{ member: verdict, author: verdict, admin: verdict, owner: verdict }
})
const members: Verdicts = { ...all("ok"), ...outside }
const admins: Verdicts = { ...members, member: "forbidden", author: "forbidden" }
const owners: Verdicts = { ...admins, admin: "forbidden" }
const nobody = all("not-found")
const anybody = all("ok")

/** A group with somebody in each role, and all that operations are about. */
interface Stage {
  readonly people: Readonly<Record<Role, Account>>
  readonly target: Account
  readonly newcomer: Account
  readonly conversationId: string
  readonly messageId: string
  readonly pollId: string
  readonly code: string
  readonly scheduledMessageId: string
  /** Of another group, in which everybody but the stranger is. */
  readonly foreignMessageId: string
}

interface Row {
  readonly may: Verdicts
  readonly data?: (stage: Stage) => Readonly<Record<string, unknown>>
}

const within = ({ conversationId }: Stage) => ({ conversationId })
const about = ({ conversationId, messageId }: Stage) => ({ conversationId, messageId })
const inAnHour = () => new Date(performance.timeOrigin + performance.now() + 3_600_000).toISOString()

const rows: Readonly<Record<string, Row>> = {
  "session.list": { may: anybody },
  "session.end": { may: nobody, data: ({ target }) => ({ sessionId: target.sessionId }) },
  "user.me": { may: anybody },
  "user.update": { may: anybody, data: () => ({ displayName: "Another" }) },
  "user.unread": { may: anybody },
  "user.search": { may: anybody, data: () => ({ query: "target" }) },
  "user.get": { may: anybody, data: ({ target }) => ({ userId: target.id }) },
  "block.add": { may: anybody, data: ({ newcomer }) => ({ userId: newcomer.id }) },
  "block.remove": { may: anybody, data: ({ newcomer }) => ({ userId: newcomer.id }) },
  "block.list": { may: anybody },
  "conversation.create": { may: anybody, data: ({ target }) => ({ kind: "dm", userId: target.id }) },
  "conversation.list": { may: anybody },
  "conversation.get": { may: members, data: within },
  "conversation.update": { may: admins, data: (stage) => ({ ...within(stage), title: "New" }) },
  "conversation.settings": { may: members, data: (stage) => ({ ...within(stage), archived: true }) },
  "member.list": { may: members, data: within },
  "member.add": { may: admins, data: (stage) => ({ ...within(stage), userIds: [stage.newcomer.id] }) },
  "member.update": { may: owners, data: (stage) => ({ ...within(stage), userId: stage.target.id, role: "member" }) },
  "member.remove": { may: admins, data: (stage) => ({ ...within(stage), userId: stage.target.id }) },
  "member.leave": { may: members, data: within },
  "invite.create": { may: admins, data: within },
  "invite.list": { may: admins, data: within },
  "invite.revoke": { may: admins, data: (stage) => ({ ...within(stage), code: stage.code }) },
  "invite.accept": { may: { ...anybody, former: "not-found" }, data: ({ code }) => ({ code }) },
  "read.mark": { may: members, data: (stage) => ({ ...within(stage), seq: 1 }) },
  "delivered.mark": { may: members, data: (stage) => ({ ...within(stage), seq: 1 }) },
  "typing.start": { may: members, data: within },
  "typing.stop": { may: members, data: within },
  "message.send": {
    may: members,
    data: (stage) => ({ ...within(stage), clientMessageId: randomUUID(), body: "hello", replyTo: stage.messageId })
  },
  "message.list": { may: members, data: within },
  "message.get": { may: members, data: about },
  "message.search": { may: members, data: (stage) => ({ ...within(stage), query: "hello" }) },
  "message.edit": {
    may: { ...all("forbidden"), ...outside, author: "ok" },
    data: (stage) => ({ ...about(stage), body: "edited" })
  },
  "message.delete": { may: { ...members, member: "forbidden" }, data: about },
  "message.hide": { may: members, data: about },
  "message.revisions": { may: members, data: about },
  "message.forward": {
    may: members,
    data: (stage) => ({ ...about(stage), toConversationId: stage.conversationId, clientMessageId: randomUUID() })
  },
  "message.pin": { may: admins, data: about },
  "message.unpin": { may: admins, data: about },
  "message.vote": {
    may: members,
    data: (stage) => ({ ...within(stage), messageId: stage.pollId, options: [1] })
  },
  "message.unvote": { may: members, data: (stage) => ({ ...within(stage), messageId: stage.pollId }) },
  "pin.list": { may: members, data: within },
  "reaction.add": { may: members, data: (stage) => ({ ...about(stage), emoji: "👍" }) },
  "reaction.remove": { may: members, data: (stage) => ({ ...about(stage), emoji: "👍" }) },
  "thread.list": { may: members, data: about },
  "thread.mark": { may: members, data: (stage) => ({ ...about(stage), seq: 1 }) },
  "events.pull": { may: members, data: within },
  "events.sync": { may: anybody, data: () => ({ cursors: {} }) },
  "draft.set": { may: members, data: (stage) => ({ ...within(stage), body: "later" }) },
  "draft.clear": { may: members, data: within },
  "draft.list": { may: anybody },
  "scheduled.create": {
    may: members,
    data: (stage) => ({ ...within(stage), sendAt: inAnHour(), body: "later" })
  },
  "scheduled.list": { may: anybody },
  "scheduled.get": { may: nobody, data: ({ scheduledMessageId }) => ({ scheduledMessageId }) },
  "scheduled.update": {
    may: nobody,
    data: ({ scheduledMessageId }) => ({ scheduledMessageId, body: "another" })
  },
  "scheduled.cancel": { may: nobody, data: ({ scheduledMessageId }) => ({ scheduledMessageId }) },
  "presence.get": { may: anybody, data: ({ target }) => ({ userIds: [target.id] }) },
  "presence.set": { may: anybody, data: () => ({ status: "away" }) }
}

type Data = Readonly<Record<string, unknown>>

/** What ends one's own sessions, with its data: done by its user in files of its own. */
const ending: Readonly<Record<string, Data>> = {
  "auth.logout": {},
  "auth.password": { currentPassword: "correct horse", newPassword: "another horse" },
  "user.delete": { password: "correct horse" }
}

/** What needs no session, and the stream: tried in files of their own. */
const apart = ["auth.register", "auth.login", "auth.refresh", "events.stream"]

const Said = Schema.StructWithRest(Schema.Struct({ type: Schema.String }), [
  Schema.Record(Schema.String, Schema.Unknown)
])

/** What the service answers: the problem but for the request that it answers, or null when it does what it is asked. */
type Answer = typeof Said.Type | null

const problemOf = (problem: unknown): Answer => {
  const { requestId: _, ...said } = Schema.decodeUnknownSync(Said)(problem)
  return said
}

const verdictOf = (answer: Answer): Verdict => {
  if (answer === null) return "ok"
  const verdicts = ["unauthenticated", "not-found", "forbidden", "conflict"] as const
  return verdicts.find((verdict) => answer.type === `/problems/${verdict}`) ?? assert.fail(JSON.stringify(answer))
}

/** The method and path of an operation over HTTP, from the document. */
const routes = new Map(
  Object.entries(OpenApi.fromApi(Api).paths).flatMap(([path, { delete: remove, get, patch, post, put }]) =>
    Object.entries({ DELETE: remove, GET: get, PATCH: patch, POST: post, PUT: put }).flatMap(([method, operation]) =>
      operation === undefined ? [] : [[operation.operationId, { method, path }] as const]
    )
  )
)

/** Undefined for what HTTP does not have. */
const overHttp = (url: string, name: string, data: Data, token?: string) =>
  Effect.gen(function* () {
    const hides = name === "message.hide"
    const route = routes.get(hides ? "message.delete" : name)
    if (route === undefined) return undefined
    const rest: Record<string, unknown> = { ...data }
    const takeOut = (key: string) => {
      const value = rest[key]
      delete rest[key]
      return encodeURIComponent(String(value))
    }
    const path = route.path.replace(/\{(\w+)\}/g, (_, key: string) =>
      takeOut(
        key === "id"
          ? (["conversationId", "sessionId", "scheduledMessageId", "userId"].find((id) => id in rest) ?? key)
          : key
      )
    )
    if (name === "message.forward") {
      rest.conversationId = rest.toConversationId
      delete rest.toConversationId
    }
    const hasBody = ["POST", "PUT", "PATCH"].includes(route.method) && Object.keys(rest).length > 0
    const needsBody = name === "invite.create"
    const query = new URLSearchParams(hides ? { for: "me" } : {})
    if (!hasBody) for (const [key, value] of Object.entries(rest)) query.append(key, String(value))
    const { body, status } = yield* api(url).ask(route.method, query.size === 0 ? path : `${path}?${query}`, {
      ...((hasBody || needsBody) && { json: rest }),
      ...(token !== undefined && { token })
    })
    return status < 300 ? null : problemOf(body)
  })

const Exit = Schema.Union([
  Schema.Struct({ _tag: Schema.Literal("Success") }),
  Schema.Struct({ _tag: Schema.Literal("Failure"), cause: Schema.Array(Schema.Struct({ error: Schema.Unknown })) })
])
const decodeExit = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Struct({ exit: Exit })))

const overRpc = (url: string, name: string, data: Data, token?: string) =>
  Effect.promise(async (): Promise<Answer> => {
    // An operation without data has none, not an empty object.
    const payload = AllOperations.requests.get(name)?.payloadSchema.ast._tag === "Void" ? null : data
    const headers = token === undefined ? [] : [["authorization", `Bearer ${token}`]]
    const response = await fetch(`${url}/rpc`, {
      method: "POST",
      headers: { "content-type": "application/x-ndjson" },
      body: `${JSON.stringify({ _tag: "Request", id: "1", tag: name, payload, headers })}\n`
    })
    const [line = ""] = (await response.text()).trim().split("\n")
    const { exit } = decodeExit(line)
    return exit._tag === "Success" ? null : problemOf(exit.cause[0]?.error)
  })

const overSocket = (client: Client, name: string, data: Data) =>
  Effect.map(client.command(name, data), ({ error, ok }) => (ok !== undefined ? null : problemOf(error)))

const IdOf = Schema.decodeUnknownSync(Schema.Struct({ id: Schema.String }))
const decodeSent = Schema.decodeUnknownSync(Schema.Struct({ message: Schema.Struct({ id: Schema.String }) }))
const CodeOf = Schema.decodeUnknownSync(Schema.Struct({ code: Schema.String }))

const cast = Effect.gen(function* () {
  const { url } = yield* Service
  const http = api(url)
  const names = [...roles, "target", "newcomer"] as const
  const accounts = yield* Effect.forEach(names, (name) => http.register(name))
  const of = (name: (typeof names)[number]) => accounts[names.indexOf(name)] ?? assert.fail(name)
  const people = {
    ...{ stranger: of("stranger"), former: of("former"), member: of("member") },
    ...{ author: of("author"), admin: of("admin"), owner: of("owner") }
  }
  const sockets = new Map<Role, Client>()
  for (const role of roles) {
    const client = yield* connect(url)
    yield* client.ready(people[role].token)
    sockets.set(role, client)
  }
  return { people, target: of("target"), newcomer: of("newcomer"), sockets }
})

const stageOf = Effect.fnUntraced(function* ({ newcomer, people, target }: Effect.Success<typeof cast>) {
  const { url } = yield* Service
  const http = api(url)
  const { admin, author, former, member, owner } = people
  const conversationId = yield* http.group(owner, admin, author, former, member, target)
  const path = `/v1/conversations/${conversationId}`
  const invite = CodeOf(yield* http.must("POST", `${path}/invites`, { token: owner.token, json: {} }))
  yield* http.must("PATCH", `${path}/members/${admin.id}`, { token: owner.token, json: { role: "admin" } })
  yield* http.must("DELETE", `${path}/members/${former.id}`, { token: owner.token })
  const { message } = yield* http.post(author, conversationId, randomUUID(), "hello")
  const poll = { question: "?", options: ["yes", "no"], multiple: false }
  const json = { clientMessageId: randomUUID(), body: "", type: "poll", payload: poll }
  const sent = yield* http.must("POST", `${path}/messages`, { token: author.token, json })
  const polled = decodeSent(sent).message
  const elsewhere = yield* http.group(owner, admin, author, former, member, target)
  const foreign = yield* http.post(owner, elsewhere, randomUUID(), "elsewhere")
  const scheduled = { conversationId, sendAt: inAnHour(), body: "later" }
  const { id: scheduledMessageId } = IdOf(
    yield* http.must("POST", "/v1/scheduled-messages", { token: target.token, json: scheduled })
  )
  const stage: Stage = {
    ...{ people, target, newcomer, conversationId, scheduledMessageId },
    ...{ messageId: message.id, pollId: polled.id, code: invite.code, foreignMessageId: foreign.message.id }
  }
  return stage
})

const unknownId = "00000000-0000-7000-8000-000000000000"
const ids = new Set(["conversationId", "userId", "sessionId", "scheduledMessageId", "replyTo", "toConversationId"])

/** After these the next operation needs a group as it was. */
const spoils = new Set([
  "member.remove",
  "member.leave",
  "invite.revoke",
  "invite.accept",
  "message.delete",
  "message.hide"
])

layer(gatewayService({ limits: { memberChangesPerMinute: 1_000_000 } }), {
  excludeTestServices: true,
  timeout: 60_000
})("who may what", (it) => {
  it.effect("has a row for every operation", () =>
    Effect.sync(() => {
      const known = [...Object.keys(rows), ...Object.keys(ending), ...apart]
      assert.deepStrictEqual(known.toSorted(), [...AllOperations.requests.keys()].toSorted())
    })
  )

  it.effect("without a token: nothing", () =>
    Effect.gen(function* () {
      const { url } = yield* Service
      const stage = yield* Effect.scoped(Effect.flatMap(cast, stageOf))
      for (const name of Operations.requests.keys()) {
        const data = ending[name] ?? rows[name]?.data?.(stage) ?? {}
        for (const answer of [yield* overRpc(url, name, data), yield* overHttp(url, name, data)])
          if (answer !== undefined) assert.strictEqual(verdictOf(answer), "unauthenticated", name)
      }
    })
  )

  const transports = ["HTTP", "RPC", "WebSocket"] as const
  for (const transport of transports) {
    it.effect(`over ${transport}`, () =>
      Effect.gen(function* () {
        const { url } = yield* Service
        const company = yield* cast
        const ask = (role: Role, name: string, data: Data) => {
          const { token } = company.people[role]
          const client = company.sockets.get(role) ?? assert.fail(role)
          return transport === "HTTP"
            ? overHttp(url, name, data, token)
            : transport === "RPC"
              ? overRpc(url, name, data, token)
              : overSocket(client, name, data)
        }
        let stage = yield* stageOf(company)
        const log = api(url).must("GET", `/v1/conversations/${stage.conversationId}/events`, {
          token: company.people.owner.token
        })
        const before = yield* log
        // To those outside it, ours is to the letter what none is, and nothing that they ask for is done.
        for (const [name, { data }] of Object.entries(rows)) {
          const ours = data?.(stage) ?? {}
          if (!("conversationId" in ours)) continue
          for (const role of ["stranger", "former"] as const) {
            const answer = yield* ask(role, name, ours)
            const ofNone = yield* ask(role, name, { ...ours, conversationId: unknownId })
            assert.deepStrictEqual(answer, ofNone, `${name} as ${role}`)
          }
        }
        assert.deepStrictEqual(yield* log, before)
        for (const [name, { data = () => ({}), may }] of Object.entries(rows)) {
          for (const role of roles) {
            const answer = yield* ask(role, name, data(stage))
            if (answer !== undefined) assert.strictEqual(verdictOf(answer), may[role], `${name} as ${role}`)
          }
          // What does not exist, and what does in another place, is the same answer as what is not mine.
          if (spoils.has(name)) stage = yield* stageOf(company)
          const asked = data(stage)
          const others = Object.keys(asked).flatMap((key): ReadonlyArray<Data> => {
            if (key === "messageId") return [{ messageId: unknownId }, { messageId: stage.foreignMessageId }]
            if (key === "userIds") return name === "member.add" ? [{ userIds: [unknownId] }] : []
            if (key === "code") return [{ code: "unknown" }]
            return ids.has(key) ? [{ [key]: unknownId }] : []
          })
          for (const other of others) {
            if (name === "block.remove") continue
            const answer = yield* ask("owner", name, { ...asked, ...other })
            if (answer !== undefined)
              assert.strictEqual(verdictOf(answer), "not-found", `${name} of ${JSON.stringify(other)}`)
          }
          if (spoils.has(name)) stage = yield* stageOf(company)
        }
      })
    )
  }
})
