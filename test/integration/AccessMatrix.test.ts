import { randomUUID } from "node:crypto"
import { assert, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { ExternalId } from "../../src/domain/ExternalId.ts"
import { ServiceTokenId } from "../../src/domain/Ids.ts"
import { ServiceScope } from "../../src/domain/ServiceToken.ts"
import { AllOperations, Operations } from "../../src/operations/Operations.ts"
import { ServerUsers } from "../../src/services/admin/ServerUsers.ts"
import { ServiceTokens } from "../../src/services/admin/ServiceTokens.ts"
import { type Account, api, type Client, connect } from "../support/Client.ts"
import { uploadTo } from "../support/Files.ts"
import { gatewayService, Service } from "../support/GatewayService.ts"
import { type Answer, type Data, overHttp, overRpc, overSocket, problemOf } from "../support/Transports.ts"

/**
 * Who may do what, over every transport: each operation is asked for by everybody, about their own objects, about
 * those of others, and about objects that do not exist. An operation that has no row here fails the test.
 */

type Verdict = "ok" | "unauthenticated" | "not-found" | "forbidden" | "conflict"

/** `author` wrote the message that the operation is about. `former` was a member, and was removed by another one. */
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

/** A group with a user in each role, and the objects of the operations. */
interface Stage {
  readonly people: Readonly<Record<Role, Account>>
  readonly target: Account
  readonly newcomer: Account
  readonly conversationId: string
  readonly messageId: string
  readonly pollId: string
  readonly attachmentId: string
  readonly code: string
  readonly scheduledMessageId: string
  /** A message of another group, in which everybody but the stranger is a member. */
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
  "user.removeAvatar": { may: anybody },
  "user.unread": { may: anybody },
  "user.search": { may: anybody, data: () => ({ query: "target" }) },
  "user.get": { may: anybody, data: ({ target }) => ({ userId: target.id }) },
  "user.list": { may: anybody, data: ({ target }) => ({ userIds: [target.id] }) },
  "block.add": { may: anybody, data: ({ newcomer }) => ({ userId: newcomer.id }) },
  "block.remove": { may: anybody, data: ({ newcomer }) => ({ userId: newcomer.id }) },
  "block.list": { may: anybody },
  "conversation.create": { may: anybody, data: ({ target }) => ({ kind: "dm", userId: target.id }) },
  "conversation.list": { may: anybody },
  "conversation.get": { may: members, data: within },
  "conversation.update": { may: admins, data: (stage) => ({ ...within(stage), title: "New" }) },
  "conversation.removeAvatar": { may: admins, data: within },
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
  "attachment.link": { may: members, data: ({ attachmentId }) => ({ attachmentId }) },
  "attachment.delete": { may: nobody, data: ({ attachmentId }) => ({ attachmentId }) },
  "user.storage": { may: anybody },
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
  "message.star": { may: members, data: about },
  "message.unstar": { may: members, data: about },
  "star.list": { may: anybody },
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

/** What a user may do to an own message in a DM whose other member has blocked the user. */
const whenBlocked: Readonly<Record<string, Verdict>> = {
  "message.send": "forbidden",
  "message.edit": "forbidden",
  "message.forward": "forbidden",
  "message.pin": "forbidden",
  "message.unpin": "forbidden",
  "message.vote": "forbidden",
  "message.unvote": "forbidden",
  "reaction.add": "forbidden",
  "reaction.remove": "forbidden",
  "conversation.update": "forbidden",
  "scheduled.create": "forbidden",
  "scheduled.update": "forbidden",
  "scheduled.get": "ok",
  "scheduled.cancel": "ok",
  "conversation.get": "ok",
  "conversation.settings": "ok",
  "member.list": "ok",
  "read.mark": "ok",
  "delivered.mark": "ok",
  "typing.start": "ok",
  "typing.stop": "ok",
  "message.list": "ok",
  "message.get": "ok",
  "message.search": "ok",
  "message.revisions": "ok",
  "pin.list": "ok",
  "thread.list": "ok",
  "thread.mark": "ok",
  "events.pull": "ok",
  "draft.set": "ok",
  "draft.clear": "ok",
  "message.hide": "ok",
  "message.delete": "ok",
  "member.add": "conflict",
  "member.leave": "conflict",
  "invite.create": "conflict"
}

/** What nobody may do about a user of another team, a 404, unless they share a conversation. */
const acrossTeams: Readonly<Record<string, (stage: Stage) => Data>> = {
  "user.get": ({ target }) => ({ userId: target.id }),
  "conversation.create": ({ target }) => ({ kind: "group", title: "Group", memberIds: [target.id] }),
  "member.add": (stage) => ({ ...within(stage), userIds: [stage.target.id] }),
  "block.add": ({ target }) => ({ userId: target.id })
}

const unknownId = "00000000-0000-7000-8000-000000000000"

/** The operations that concern one's own password and sessions, with their data: tests in other files call them. */
const ending: Readonly<Record<string, Data>> = {
  "auth.logout": {},
  "auth.password": { currentPassword: "correct horse", newPassword: "another horse" },
  "user.delete": { password: "correct horse" },
  "user.claim": { username: "target1", email: "claimed@example.com", password: "correct horse" }
}

/**
 * The operations that need a service token, with the scope and the data. The data name objects that do not exist,
 * where possible.
 */
const operators: Readonly<
  Record<string, { readonly scope: ServiceScope; readonly verdict: Verdict; readonly data?: Data }>
> = {
  "token.create": { scope: "tokens", verdict: "ok", data: { name: "another", scopes: ["tokens"] } },
  "token.list": { scope: "tokens", verdict: "ok" },
  "token.revoke": { scope: "tokens", verdict: "not-found", data: { tokenId: unknownId } },
  "audit.list": { scope: "audit", verdict: "ok" },
  "admin.accounts": { scope: "admin", verdict: "ok" },
  "admin.account": { scope: "admin", verdict: "not-found", data: { userId: unknownId } },
  "admin.disable": { scope: "admin", verdict: "not-found", data: { userId: unknownId } },
  "admin.enable": { scope: "admin", verdict: "not-found", data: { userId: unknownId } },
  "admin.setPassword": {
    scope: "admin",
    verdict: "not-found",
    data: { userId: unknownId, password: "correct horse" }
  },
  "admin.resetPassword": { scope: "admin", verdict: "not-found", data: { userId: unknownId } },
  "admin.deleteAccount": { scope: "admin", verdict: "not-found", data: { userId: unknownId } },
  "admin.deleteConversation": { scope: "admin", verdict: "not-found", data: { conversationId: unknownId } },
  "admin.exportAccount": { scope: "admin", verdict: "not-found", data: { userId: unknownId } },
  "server.upsertUser": { scope: "users", verdict: "ok", data: { externalId: "of the matrix", displayName: "Ann" } },
  "server.upsertUsers": { scope: "users", verdict: "ok", data: { users: [{ externalId: "of the matrix" }] } },
  "server.getUser": { scope: "users", verdict: "not-found", data: { externalId: "nobody" } },
  "server.deleteUser": { scope: "users", verdict: "not-found", data: { externalId: "nobody", messages: "erase" } },
  "server.createToken": { scope: "users", verdict: "not-found", data: { externalId: "nobody", expiresInSeconds: 60 } },
  "server.createBotToken": { scope: "users", verdict: "not-found", data: { externalId: "nobody", name: "bot" } },
  "server.revokeUser": { scope: "users", verdict: "not-found", data: { externalId: "nobody" } },
  "admin.registration": { scope: "admin", verdict: "ok" },
  "admin.setRegistration": { scope: "admin", verdict: "ok", data: { mode: null } },
  "server.upsertConversation": {
    scope: "conversations",
    verdict: "not-found",
    data: { externalKey: "of the matrix", title: "Group", memberIds: [unknownId] }
  },
  "server.getConversation": { scope: "conversations", verdict: "not-found", data: { externalKey: "nothing" } },
  "admin.endSessions": { scope: "admin", verdict: "not-found", data: { userId: unknownId } }
}

/** The operations without a session, and the stream: tests in other files call them. */
const apart = [
  "auth.reset",
  "auth.register",
  "auth.login",
  "auth.exchange",
  "auth.refresh",
  "invite.guest",
  "events.stream"
]

/** What a guest may do in place of what a member may do. The newcomer shares no conversation with the guest. */
const asGuest: Readonly<Record<string, Verdict>> = {
  "session.list": "ok",
  "session.end": "not-found",
  "user.search": "forbidden",
  "conversation.create": "forbidden",
  "block.add": "not-found",
  "auth.password": "forbidden"
}

const verdictOf = (answer: Answer): Verdict => {
  if (answer === null) return "ok"
  const verdicts = ["unauthenticated", "not-found", "forbidden", "conflict"] as const
  return verdicts.find((verdict) => answer.type === `/problems/${verdict}`) ?? assert.fail(JSON.stringify(answer))
}

const IdOf = Schema.decodeUnknownSync(Schema.Struct({ id: Schema.String }))
const decodeSent = Schema.decodeUnknownSync(Schema.Struct({ message: Schema.Struct({ id: Schema.String }) }))
const decodeGuest = Schema.decodeUnknownSync(
  Schema.Struct({
    accessToken: Schema.String,
    sessionId: Schema.String,
    user: Schema.Struct({ id: Schema.String, kind: Schema.Literal("guest") })
  })
)
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
  const attachment = yield* uploadTo(url, author.token)
  const file = { clientMessageId: randomUUID(), body: "", type: "image", attachments: [attachment.id] }
  yield* http.must("POST", `${path}/messages`, { token: author.token, json: file })
  const elsewhere = yield* http.group(owner, admin, author, former, member, target)
  const foreign = yield* http.post(owner, elsewhere, randomUUID(), "elsewhere")
  const scheduled = { conversationId, sendAt: inAnHour(), body: "later" }
  const { id: scheduledMessageId } = IdOf(
    yield* http.must("POST", "/v1/scheduled-messages", { token: target.token, json: scheduled })
  )
  const stage: Stage = {
    ...{ people, target, newcomer, conversationId, scheduledMessageId },
    ...{
      messageId: message.id,
      pollId: polled.id,
      code: invite.code,
      attachmentId: attachment.id,
      foreignMessageId: foreign.message.id
    }
  }
  return stage
})

const ids = new Set([
  "attachmentId",
  "conversationId",
  "userId",
  "sessionId",
  "scheduledMessageId",
  "replyTo",
  "toConversationId"
])

/** After these operations the next one needs a new group. */
const spoils = new Set([
  "member.remove",
  "member.leave",
  "invite.revoke",
  "invite.accept",
  "message.delete",
  "message.hide"
])

/**
 * Asks for every operation over every transport as the member of the company who has no session: what concerns password and
 * sessions is forbidden, and everything else is as for members.
 */
const asMember = Effect.fnUntraced(function* (
  company: Effect.Success<typeof cast>,
  client: Client,
  token: string,
  actAs?: string,
  others: Readonly<Record<string, Verdict>> = {},
  endings: ReadonlyArray<string> = Object.keys(ending)
) {
  const { url } = yield* Service
  let stage = yield* stageOf(company)
  for (const name of Operations.requests.keys()) {
    if (name in ending && !endings.includes(name)) continue
    const [word] = name.split(".")
    const themselves = word === "session" || name in ending
    const expected = others[name] ?? (themselves ? "forbidden" : (rows[name]?.may.member ?? assert.fail(name)))
    const data = () => ending[name] ?? rows[name]?.data?.(stage) ?? {}
    for (const ask of [
      // The one DELETE with a body, which this file cannot ask for over HTTP.
      ...(name === "user.delete" ? [] : [() => overHttp(url, name, data(), token, actAs)]),
      () => overRpc(url, name, data(), token, actAs),
      () => overSocket(client, name, data())
    ]) {
      const answer = yield* ask()
      if (answer !== undefined) assert.strictEqual(verdictOf(answer), expected, name)
      if (spoils.has(name)) stage = yield* stageOf(company)
    }
  }
})

layer(gatewayService({ limits: { memberChangesPerMinute: 1_000_000 } }), {
  excludeTestServices: true
})("who may do what", (it) => {
  it.effect("has a row for every operation", () =>
    Effect.sync(() => {
      const known = [...Object.keys(rows), ...Object.keys(ending), ...Object.keys(operators), ...apart]
      assert.deepStrictEqual(known.toSorted(), [...AllOperations.requests.keys()].toSorted())
    })
  )

  it.effect("refuses every operation without a token", () =>
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

  it.effect("permits with a service token the operations of its scope, and none of users", () =>
    Effect.gen(function* () {
      const { url } = yield* Service
      const tokens = yield* ServiceTokens
      const scopes = ServiceScope.literals
      const tokenWith = (granted: ReadonlyArray<ServiceScope>) =>
        Effect.map(tokens.create("cli:test", { name: "matrix", scopes: granted }), ({ token }) => token)
      const user = yield* api(url).register("user")
      for (const [name, { data = {}, scope, verdict }] of Object.entries(operators)) {
        const with_ = yield* tokenWith([scope])
        const without = yield* tokenWith(scopes.filter((other) => other !== scope))
        for (const [token, expected] of [
          [undefined, "unauthenticated"],
          [user.token, "unauthenticated"],
          ["cst_wrong", "unauthenticated"],
          [without, "forbidden"],
          [with_, verdict]
        ] as const)
          for (const answer of [yield* overRpc(url, name, data, token), yield* overHttp(url, name, data, token)])
            if (answer !== undefined) assert.strictEqual(verdictOf(answer), expected, `${name} with ${token}`)
      }
      const everything = yield* tokenWith(scopes)
      const stage = yield* Effect.scoped(Effect.flatMap(cast, stageOf))
      for (const name of Operations.requests.keys()) {
        const data = ending[name] ?? rows[name]?.data?.(stage) ?? {}
        for (const answer of [
          yield* overRpc(url, name, data, everything),
          yield* overHttp(url, name, data, everything)
        ])
          if (answer !== undefined) assert.strictEqual(verdictOf(answer), "unauthenticated", name)
      }
      const client = yield* connect(url)
      yield* client.ready(user.token)
      for (const name of Object.keys(operators)) {
        const { error } = yield* client.command(name, operators[name]?.data ?? {})
        assert.strictEqual(problemOf(error)?.type, "/problems/invalid-request", name)
      }
    })
  )

  it.effect("permits a program that acts as a user what the user may do, but nothing with password and sessions", () =>
    Effect.gen(function* () {
      const { url } = yield* Service
      const tokens = yield* ServiceTokens
      const company = yield* cast
      const member = company.people.member.id
      const { token } = yield* tokens.create("cli:test", { name: "acting", scopes: ["act-as"] })
      const others = ServiceScope.literals.filter((scope) => scope !== "act-as")
      const without = yield* tokens.create("cli:test", { name: "not acting", scopes: others })
      const client = yield* connect(url)
      yield* client.ready(token, { actAs: member })
      yield* asMember(company, client, token, member)
      const stage = yield* stageOf(company)
      for (const name of Operations.requests.keys()) {
        const data = ending[name] ?? rows[name]?.data?.(stage) ?? {}
        for (const answer of [
          yield* overRpc(url, name, data, without.token, member),
          name === "user.delete" ? undefined : yield* overHttp(url, name, data, without.token, member)
        ])
          if (answer !== undefined) assert.strictEqual(verdictOf(answer), "forbidden", `${name} without the scope`)
      }
      const late = yield* connect(url)
      assert.strictEqual((yield* late.hello(without.token, { actAs: member })).error?.type, "/problems/forbidden")
    })
  )

  it.effect("permits a bot with a token of its own what a member may do, but nothing with password and sessions", () =>
    Effect.gen(function* () {
      const { url } = yield* Service
      const users = yield* ServerUsers
      const externalId = ExternalId.make("bot of the matrix")
      const [bot = assert.fail()] = yield* users.upsert("cli:test", [{ externalId, kind: "bot" }])
      const { token } = yield* users.createBotToken("cli:test", externalId, { name: "matrix" })
      const company = yield* cast
      const member = { ...company.people.member, id: bot.id, username: bot.username, token }
      const client = yield* connect(url)
      yield* client.ready(token)
      yield* asMember({ ...company, people: { ...company.people, member } }, client, token)
      for (const [name, { data = {} }] of Object.entries(operators))
        for (const answer of [yield* overRpc(url, name, data, token), yield* overHttp(url, name, data, token)])
          if (answer !== undefined) assert.strictEqual(verdictOf(answer), "unauthenticated", name)
    })
  )

  it.effect("permits a guest what a member may do, but to look for nobody, and to start nothing", () =>
    Effect.gen(function* () {
      const { url } = yield* Service
      const http = api(url)
      const company = yield* cast
      const { owner } = company.people
      const id = yield* http.group(owner)
      const json = { guests: true }
      const { code } = CodeOf(yield* http.must("POST", `/v1/conversations/${id}/invites`, { token: owner.token, json }))
      const joined = yield* http.must("POST", `/v1/invites/${code}/guest`, { json: { displayName: "Gus" } })
      const { accessToken, sessionId, user } = decodeGuest(joined)
      const member = { ...company.people.member, id: user.id, token: accessToken, sessionId }
      const client = yield* connect(url)
      yield* client.ready(accessToken)
      const withGuest = { ...company, people: { ...company.people, member } }
      // Signing out, and an account, would be the end of the guest.
      const endings = ["auth.password"]
      yield* asMember(withGuest, client, accessToken, undefined, asGuest, endings)
      const elsewhere = yield* http.group(company.people.stranger)
      const path = `/v1/conversations/${elsewhere}/invites`
      const { token } = company.people.stranger
      const closed = CodeOf(yield* http.must("POST", path, { token, json: {} }))
      for (const answer of [
        yield* overHttp(url, "invite.accept", { code: closed.code }, accessToken),
        yield* overRpc(url, "invite.accept", { code: closed.code }, accessToken),
        yield* overSocket(client, "invite.accept", { code: closed.code })
      ])
        if (answer !== undefined) assert.strictEqual(verdictOf(answer), "not-found")
      for (const name of ["user.get", "block.add"])
        assert.strictEqual(
          verdictOf((yield* overRpc(url, name, { userId: company.newcomer.id }, accessToken)) ?? null),
          "not-found",
          name
        )
      const claim = (username: string) => ({ username, email: `${username}@example.com`, password: "correct horse" })
      const gus = `gus-${randomUUID().slice(0, 8)}`
      const claims = [
        yield* overHttp(url, "user.claim", claim(owner.username), accessToken),
        yield* overRpc(url, "user.claim", claim(gus), accessToken),
        yield* overSocket(client, "user.claim", claim(`${gus}-2`)),
        yield* overHttp(url, "user.search", { query: "gus" }, accessToken)
      ]
      assert.deepStrictEqual(
        claims.map((answer) => verdictOf(answer ?? null)),
        ["conflict", "ok", "conflict", "ok"]
      )
      const leaver = decodeGuest(
        yield* http.must("POST", `/v1/invites/${code}/guest`, { json: { displayName: "Lea" } })
      )
      assert.strictEqual(verdictOf((yield* overRpc(url, "user.delete", {}, leaver.accessToken)) ?? null), "ok")
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
        // Non-members get exactly the same answers for our conversation as for one that does not exist, and nothing
        // that they ask for is done.
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
          // An object that does not exist, or that belongs to another conversation, gets the same answer as one that
          // the user may not see.
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

  for (const transport of transports) {
    it.effect(`users of different teams, over ${transport}`, () =>
      Effect.gen(function* () {
        const { url } = yield* Service
        const http = api(url)
        const users = yield* ServerUsers
        const inTeam = Effect.fnUntraced(function* (team: string | null) {
          const externalId = ExternalId.make(`${transport} ${team} ${randomUUID()}`)
          const [user = assert.fail()] = yield* users.upsert("cli:test", [{ externalId, team }])
          const program = ServiceTokenId.make(unknownId)
          const { accessToken } = yield* users.createToken(program, externalId, {})
          return { ...(yield* http.register("template")), id: user.id, username: user.username, token: accessToken }
        })
        const [me, target] = [yield* inTeam("one"), yield* inTeam("two")]
        const [colleague, helper] = [yield* inTeam("one"), yield* inTeam(null)]
        const company = yield* cast
        const stage = { ...(yield* stageOf(company)), target, conversationId: yield* http.group(me) }
        const client = yield* connect(url)
        yield* client.ready(me.token)
        const ask = (name: string, data: Data) =>
          transport === "HTTP"
            ? overHttp(url, name, data, me.token)
            : transport === "RPC"
              ? overRpc(url, name, data, me.token)
              : overSocket(client, name, data)
        const finds = (user: Account) =>
          Effect.map(http.must("GET", `/v1/users?query=${user.username}`, { token: me.token }), (found) =>
            JSON.stringify(found).includes(user.id)
          )
        for (const [name, data] of Object.entries(acrossTeams)) {
          const answer = yield* ask(name, data(stage))
          if (answer !== undefined) assert.strictEqual(verdictOf(answer), "not-found", name)
          // Who is blocked brings nobody together.
          for (const other of name === "block.add" ? [colleague] : [colleague, helper]) {
            const known = yield* ask(name, data({ ...stage, target: other }))
            if (known !== undefined) assert.strictEqual(verdictOf(known), "ok", `${name} within the team`)
          }
        }
        const dm = yield* ask("conversation.create", { kind: "dm", userId: target.id })
        if (dm !== undefined) assert.strictEqual(verdictOf(dm), "not-found")
        assert.deepStrictEqual(
          [yield* finds(target), yield* finds(colleague), yield* finds(helper)],
          [false, true, true]
        )
        // Somebody without a team may bring both together.
        yield* http.group(helper, me, target)
        assert.isTrue(yield* finds(target))
        for (const [name, data] of Object.entries(acrossTeams)) {
          const answer = yield* ask(name, data(stage))
          if (answer !== undefined) assert.strictEqual(verdictOf(answer), "ok", name)
        }
      })
    )
  }

  for (const transport of transports) {
    it.effect(`a blocked user in the DM, over ${transport}`, () =>
      Effect.gen(function* () {
        const { url } = yield* Service
        const http = api(url)
        const blocked = yield* http.register("blocked")
        const blocker = yield* http.register("blocker")
        const { token } = blocked
        const client = yield* connect(url)
        yield* client.ready(token)
        const json = { kind: "dm", userId: blocker.id }
        const { id: conversationId } = IdOf(yield* http.must("POST", "/v1/conversations", { token, json }))
        const { message } = yield* http.post(blocked, conversationId, randomUUID(), "hello")
        const scheduled = { conversationId, sendAt: inAnHour(), body: "later" }
        const { id: scheduledMessageId } = IdOf(
          yield* http.must("POST", "/v1/scheduled-messages", { token, json: scheduled })
        )
        const poll = { question: "?", options: ["yes", "no"], multiple: false }
        const asked = { clientMessageId: randomUUID(), body: "", type: "poll", payload: poll }
        const path = `/v1/conversations/${conversationId}/messages`
        const { id: pollId } = decodeSent(yield* http.must("POST", path, { token, json: asked })).message
        const stage: Stage = {
          ...{
            conversationId,
            messageId: message.id,
            pollId,
            scheduledMessageId,
            code: "",
            attachmentId: "",
            foreignMessageId: ""
          },
          ...{ target: blocker, newcomer: blocker },
          people: {
            ...{ stranger: blocked, former: blocked, member: blocked },
            author: blocked,
            admin: blocked,
            owner: blocker
          }
        }
        yield* http.must("PUT", `/v1/users/me/blocks/${blocked.id}`, { token: blocker.token })
        for (const [name, verdict] of Object.entries(whenBlocked)) {
          const change = name === "conversation.update" ? { messageLifetimeSeconds: 5 } : rows[name]?.data?.(stage)
          const data = { ...change, ...(name === "conversation.update" && { conversationId }) }
          const answer = yield* transport === "HTTP"
            ? overHttp(url, name, data, token)
            : transport === "RPC"
              ? overRpc(url, name, data, token)
              : overSocket(client, name, data)
          if (answer !== undefined) assert.strictEqual(verdictOf(answer), verdict, name)
        }
      })
    )
  }
})
