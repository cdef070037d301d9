import { Config, Console, Effect, Layer, Option, Redacted, Stream } from "effect"
import { Flag, GlobalFlag } from "effect/cli"
import { Credentials } from "../client/Credentials.ts"
import type { TokenStorage } from "../client/credentials/Holders.ts"
import { Refused } from "../client/Failures.ts"
import { messageTypeOf } from "../client/files/PendingFiles.ts"
import { makeHttp } from "../client/Http.ts"
import { Realtime } from "../client/Realtime.ts"
import type { ChatEvent } from "../client/Session.ts"
import type { Conversation } from "../domain/Conversation.ts"
import { ClientMessageId, ConversationId } from "../domain/Ids.ts"
import type { Message } from "../domain/Message.ts"
import { CloseCode } from "../domain/Protocol.ts"
import { CliFailure } from "./CliFailure.ts"
import { uploadFile } from "./Files.ts"
import { SessionFile } from "./SessionFile.ts"

/** Where the service is, for commands that use no stored session. */
export const Url = GlobalFlag.Setting("url")({
  flag: Flag.String("url").pipe(
    Flag.withMetavar("<url>"),
    Flag.withDescription("Where the service is; CHAT_URL in the environment says so too. A stored session knows it"),
    Flag.withFallbackConfig(Config.String("CHAT_URL")),
    Flag.withDefault("http://localhost:8080"),
    Flag.map((text) => text.replace(/\/+$/, "")),
    Flag.filter(
      (text) => /^https?:\/\//.test(text) && URL.canParse(text),
      (text) => `the URL of the service must begin with http:// or https://, not ${text}`
    )
  )
})

/** The token of a user of an app, which is used in place of the stored session. */
export const Token = GlobalFlag.Setting("token")({
  flag: Flag.Redacted("token").pipe(
    Flag.withMetavar("<token>"),
    Flag.withDescription(
      "Be the user of this token of your app; nothing is stored. Rather set CHAT_TOKEN: others can see the flags of a process"
    ),
    Flag.withFallbackConfig(Config.Redacted("CHAT_TOKEN")),
    Flag.optional
  )
})

/** The credentials of a token, which cannot be renewed. */
const external = (url: string, token: string) => {
  let given = false
  const once = async () => {
    if (given) throw new Refused({ code: CloseCode.tokenExpired })
    given = true
    return token
  }
  return Credentials.external({ url, token: once })
}

/** The credentials of the user. Several commands at the same time share the session in the file. */
export const person = Effect.gen(function* () {
  const token = yield* Token
  if (Option.isSome(token)) {
    const url = yield* Url
    return { url, credentials: external(url, Redacted.value(token.value)) }
  }
  const file = yield* SessionFile
  const { tokens, url } = yield* file.load
  const run = Effect.runPromiseWith(yield* Effect.context<never>())
  const storage: TokenStorage = {
    // Meanwhile another user may have signed in, or nobody may be signed in any longer.
    load: () =>
      run(
        Effect.match(file.load, {
          onFailure: () => undefined,
          onSuccess: (saved) => (saved.url === url ? saved.tokens : undefined)
        })
      ),
    save: (renewed) => run(file.save({ url, tokens: renewed })),
    lock: () => run(Effect.map(file.lock, (release) => () => run(release)))
  }
  return { url, credentials: Credentials.layer({ url, tokens, storage }) }
})

/** Makes the HTTP client for the user who is signed in. Fails when nobody is. */
export const http = Effect.gen(function* () {
  const { credentials, url } = yield* person
  return yield* Effect.provide(makeHttp(url), credentials)
})

/** The name of a conversation: its title, or the name of the other member. */
export const nameOf = ({ id, kind, peer, title }: Conversation) =>
  kind === "group" ? (title ?? id) : peer === null ? "(notes to myself)" : `@${peer.username}`

/** Finds the user of `@username`. */
export const userOf = Effect.fnUntraced(function* (name: string) {
  const username = name.replace(/^@/, "").toLowerCase()
  const { items } = yield* (yield* http).user.search({ query: { query: username } })
  const user = items.find((one) => one.username === username)
  if (user === undefined) return yield* new CliFailure({ message: `there is no user @${username}` })
  return user
})

/** Finds the conversation of an id, or the direct one with `@username`, which is created when there is none. */
export const find = Effect.fnUntraced(function* (name: string) {
  const client = yield* http
  if (!name.startsWith("@"))
    return yield* client.conversation.get({ params: { conversationId: ConversationId.make(name) } })
  const { id } = yield* userOf(name)
  return yield* client.conversation.create({ headers: {}, payload: { kind: "dm", userId: id } })
})

/** Makes a function that knows the usernames of those who have sent messages, and asks for each of them once. */
export const makeNames = Effect.map(http, (client) => {
  const names = new Map<string, string>()
  return Effect.fnUntraced(function* (messages: ReadonlyArray<Message>) {
    const userIds = [...new Set(messages.map(({ senderId }) => senderId))].filter((id) => !names.has(id))
    if (userIds.length === 0) return names
    const { items } = yield* client.user.list({ query: { userIds } })
    for (const id of userIds) names.set(id, id)
    for (const { id, username } of items) names.set(id, username)
    return names
  })
})

const realtime = Layer.unwrap(
  Effect.map(person, ({ credentials, url }) =>
    Realtime.layer({ url, client: { name: "chat-service cli" } }).pipe(Layer.provideMerge(credentials))
  )
)

/** Uploads files of this machine and sends a message with them, and waits until the service has stored it. */
export const send = (name: string, body: string, files: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { url } = yield* person
    const { id } = yield* find(name)
    const { send } = yield* Realtime
    const uploaded = yield* Effect.forEach(files, (file) => uploadFile(url, file))
    const attached = uploaded.length > 0 && {
      type: messageTypeOf(uploaded.map(({ contentType }) => contentType)),
      attachments: uploaded.map((attachment) => attachment.id)
    }
    const clientMessageId = ClientMessageId.make(`cli-${crypto.randomUUID()}`)
    return yield* send({ conversationId: id, clientMessageId, body, ...attached })
  }).pipe(Effect.provide(realtime))

/** A message as one line: its time on the clock of this machine, sender and body, and the names and ids of its files. */
export const lineOf = (
  { attachments, body, createdAt, senderId }: Message,
  names: ReadonlyMap<string, string>,
  note = ""
) => {
  const files = attachments.map(({ id, name }) => `[${name} ${id}]`)
  return `${new Date(createdAt).toLocaleString("sv")} ${names.get(senderId) ?? senderId}${note}: ${[body, ...files].filter((text) => text !== "").join(" ")}`
}

const line = (event: ChatEvent, names: ReadonlyMap<string, string>): string | undefined => {
  switch (event.event) {
    case "message.created":
    case "message.edited": {
      if (!("message" in event.data)) return undefined
      return lineOf(event.data.message, names, event.event === "message.edited" ? " (edited)" : "")
    }
    case "conversation.reset":
      return "… (much was missed; the history has it)"
    default:
      return undefined
  }
}

/** Removes control characters, because terminals obey those in messages of other users. */
export const harmless = (text: string) => text.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, " ")

/** Prints the last messages of a conversation, and then new ones, until it is interrupted. */
export const tail = (name: string, options: { readonly json: boolean }) =>
  Effect.gen(function* () {
    const client = yield* http
    const { id } = yield* find(name)
    const { changes, events, open } = yield* Realtime
    const names = yield* makeNames
    const print = Effect.fnUntraced(function* (event: ChatEvent) {
      if (options.json) return yield* Console.log(JSON.stringify(event))
      const text = line(event, yield* names("message" in event.data ? [event.data.message] : []))
      if (text !== undefined) yield* Console.log(harmless(text))
    })
    const refused = Stream.runForEach(changes, ({ connection }) =>
      connection.status === "closed" && connection.why !== null ? Effect.fail(connection.why) : Effect.void
    )
    // From here on events are kept, so that none is missed between the last messages and the events.
    const live = yield* events.pipe(
      Stream.filter(({ conversationId }) => conversationId === id),
      Stream.toQueue({ capacity: "unbounded" })
    )
    yield* open(id)
    const { items } = yield* client.message.list({ params: { conversationId: id }, query: { limit: 10 } })
    for (const message of items) {
      yield* print({
        event: "message.created",
        conversationId: id,
        seq: message.seq,
        at: message.createdAt,
        actorId: message.senderId,
        data: { message }
      })
    }
    const last = items.at(-1)?.seq ?? 0
    const isListed = (event: ChatEvent) => event.event === "message.created" && event.seq <= last
    yield* Effect.raceFirst(
      Stream.fromQueue(live).pipe(
        Stream.filter((event) => !isListed(event)),
        Stream.runForEach(print)
      ),
      refused
    )
  }).pipe(Effect.scoped, Effect.provide(realtime))
