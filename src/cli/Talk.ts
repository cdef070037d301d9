import { Console, Effect, Layer, Stream } from "effect"
import { Credentials } from "../client/Credentials.ts"
import { makeHttp } from "../client/Http.ts"
import { Realtime } from "../client/Realtime.ts"
import type { ChatEvent } from "../client/Session.ts"
import type { Conversation } from "../domain/Conversation.ts"
import { ClientMessageId, ConversationId } from "../domain/Ids.ts"
import { CliFailure } from "./CliFailure.ts"
import { SessionFile } from "./SessionFile.ts"

/** The credentials of the person, kept up to date in the file. */
const person = Effect.gen(function* () {
  const file = yield* SessionFile
  const { tokens, url } = yield* file.load
  const save = Effect.runPromiseWith(yield* Effect.context<never>())
  const onRenewed = (renewed: typeof tokens) => save(file.save({ url, tokens: renewed }))
  return { url, tokens, credentials: Credentials.layer({ url, tokens, onRenewed }) }
})

export const http = Effect.gen(function* () {
  const { credentials, url } = yield* person
  return yield* Effect.provide(makeHttp(url), credentials)
})

/** How a conversation is called: its title, or the other one's name. */
export const nameOf = ({ id, kind, peer, title }: Conversation) =>
  kind === "group" ? (title ?? id) : peer === null ? "(notes to myself)" : `@${peer.username}`

/** The conversation of that id, or the direct one with `@username`, made when there is none. */
export const find = Effect.fnUntraced(function* (name: string) {
  const client = yield* http
  if (!name.startsWith("@")) return yield* client.conversation.get({ params: { id: ConversationId.make(name) } })
  const username = name.slice(1).toLowerCase()
  const { items } = yield* client.user.search({ query: { query: username } })
  const user = items.find((one) => one.username === username)
  if (user === undefined) return yield* new CliFailure({ message: `there is no user ${name}` })
  return yield* client.conversation.create({ headers: {}, payload: { kind: "dm", userId: user.id } })
})

const realtime = Layer.unwrap(
  Effect.map(person, ({ credentials, url }) =>
    Realtime.layer({ url, client: { name: "chat-service cli" } }).pipe(Layer.provide(credentials))
  )
)

/** Sends, and waits until it is stored for good. */
export const send = (name: string, body: string) =>
  Effect.gen(function* () {
    const { id } = yield* find(name)
    const { send } = yield* Realtime
    const clientMessageId = ClientMessageId.make(`cli-${crypto.randomUUID()}`)
    return yield* send({ conversationId: id, clientMessageId, body })
  }).pipe(Effect.provide(realtime))

const line = (event: ChatEvent, names: ReadonlyMap<string, string>): string | undefined => {
  switch (event.event) {
    case "message.created":
    case "message.edited": {
      if (!("message" in event.data)) return undefined
      const { body, createdAt, senderId } = event.data.message
      const edited = event.event === "message.edited" ? " (edited)" : ""
      return `${createdAt.slice(11, 19)} ${names.get(senderId) ?? senderId}${edited}: ${body}`
    }
    case "conversation.reset":
      return "… (much was missed; the history has it)"
    default:
      return undefined
  }
}

/** Terminals obey control characters: those of others' messages must not reach them. */
const harmless = (text: string) => text.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, " ")

/** Prints the last messages of a conversation, and then what comes, until it is interrupted. */
export const tail = (name: string, options: { readonly json: boolean }) =>
  Effect.gen(function* () {
    const client = yield* http
    const { id } = yield* find(name)
    const { changes, events, open } = yield* Realtime
    const { items: members } = yield* client.member.list({ params: { id }, query: { limit: 200 } })
    const names = new Map(members.map(({ user }): [string, string] => [user.id, user.username]))
    const print = (event: ChatEvent) => {
      const text = options.json ? JSON.stringify(event) : line(event, names)
      return text === undefined ? Effect.void : Console.log(options.json ? text : harmless(text))
    }
    const refused = Stream.runForEach(changes, ({ connection }) =>
      connection.status === "closed" && connection.why !== null ? Effect.fail(connection.why) : Effect.void
    )
    yield* open(id)
    const { items } = yield* client.message.list({ params: { id }, query: { limit: 10 } })
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
    yield* Effect.raceFirst(
      events.pipe(
        Stream.filter(({ conversationId }) => conversationId === id),
        Stream.runForEach(print)
      ),
      refused
    )
  }).pipe(Effect.provide(realtime))
