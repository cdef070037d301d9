import { Console, Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { AttachmentId, InviteCode } from "../domain/Ids.ts"
import type { Message } from "../domain/Message.ts"
import { download } from "./Files.ts"
import { find, harmless, http, lineOf, makeNames, person, userOf } from "./Talk.ts"

/** Whether to print for programs. */
export const json = Flag.Boolean("json").pipe(
  Flag.withDefault(false),
  Flag.withDescription("Print JSON, one object a line")
)

/** The conversation that a command is about. */
export const conversation = Argument.String("conversation").pipe(
  Argument.withDescription("The id of a conversation, or @username for the direct one")
)

const limit = Flag.Int("limit").pipe(
  Flag.withMetavar("<n>"),
  Flag.withDescription("At most so many messages"),
  Flag.withDefault(20)
)

const print = Effect.fnUntraced(function* (
  messages: ReadonlyArray<Message>,
  asJson: boolean,
  place: (message: Message) => string = () => ""
) {
  const names = asJson ? new Map<string, string>() : yield* (yield* makeNames)(messages)
  for (const message of messages)
    yield* Console.log(asJson ? JSON.stringify(message) : harmless(`${place(message)}${lineOf(message, names)}`))
})

const historyCommand = Command.make(
  "history",
  { conversation, json, limit, before: Flag.Int("before").pipe(Flag.withMetavar("<seq>"), Flag.optional) },
  Effect.fnUntraced(function* ({ before, conversation, json, limit }) {
    const client = yield* http
    const { id } = yield* find(conversation)
    const place = { limit, ...(Option.isSome(before) && { before: before.value }) }
    const { items } = yield* client.message.list({ params: { conversationId: id }, query: place })
    yield* print(items, json)
  })
).pipe(Command.withDescription("Show the last messages of a conversation"))

const searchCommand = Command.make(
  "search",
  {
    json,
    limit,
    in: Flag.String("in").pipe(Flag.withMetavar("<conversation>"), Flag.optional),
    words: Argument.String("words").pipe(Argument.atLeast(1))
  },
  Effect.fnUntraced(function* ({ in: place, json, limit, words }) {
    const client = yield* http
    const within = Option.isSome(place) ? { conversationId: (yield* find(place.value)).id } : {}
    const { items } = yield* client.message.search({ query: { query: words.join(" "), limit, ...within } })
    yield* print(items, json, ({ conversationId }) => `${conversationId} `)
  })
).pipe(Command.withDescription("Find messages that have all of these words"))

const getCommand = Command.make(
  "get",
  {
    id: Argument.String("id").pipe(
      Argument.withDescription("The id of a file, as `history` shows it"),
      Argument.withSchema(AttachmentId)
    ),
    file: Argument.String("file").pipe(
      Argument.withDescription("Where to save it; by default in this directory, under its own name"),
      Argument.optional
    )
  },
  Effect.fnUntraced(function* ({ file, id }) {
    const client = yield* http
    const { url } = yield* client.attachment.link({ params: { attachmentId: id } })
    yield* Console.log(harmless(yield* download(new URL(url, (yield* person).url), file)))
  })
).pipe(Command.withDescription("Save a file that was sent with a message, and print its name"))

const readCommand = Command.make(
  "read",
  { conversation },
  Effect.fnUntraced(function* ({ conversation }) {
    const client = yield* http
    const { id, seq } = yield* find(conversation)
    yield* client.read.mark({ params: { conversationId: id }, payload: { seq } })
    yield* Console.log(`read up to seq ${seq}`)
  })
).pipe(Command.withDescription("Mark a conversation as read"))

const groupCommand = Command.make(
  "group",
  { title: Argument.String("title"), members: Argument.String("@username").pipe(Argument.atLeast(0)) },
  Effect.fnUntraced(function* ({ members, title }) {
    const client = yield* http
    const memberIds = yield* Effect.forEach(members, (name) => Effect.map(userOf(name), ({ id }) => id))
    const payload = { kind: "group", title, memberIds } as const
    const { id } = yield* client.conversation.create({ headers: {}, payload })
    yield* Console.log(id)
  })
).pipe(Command.withDescription("Make a group, and print its id"))

const inviteCommand = Command.make(
  "invite",
  { conversation, uses: Flag.Int("uses").pipe(Flag.withMetavar("<n>"), Flag.optional) },
  Effect.fnUntraced(function* ({ conversation, uses }) {
    const client = yield* http
    const { id } = yield* find(conversation)
    const payload = Option.isSome(uses) ? { maxUses: uses.value } : {}
    const { code } = yield* client.invite.create({ headers: {}, params: { conversationId: id }, payload })
    yield* Console.log(code)
  })
).pipe(Command.withDescription("Make an invite into a group, and print its code"))

const joinCommand = Command.make(
  "join",
  { code: Argument.String("code").pipe(Argument.withSchema(InviteCode)) },
  Effect.fnUntraced(function* ({ code }) {
    const { id } = yield* (yield* http).invite.accept({ params: { code } })
    yield* Console.log(id)
  })
).pipe(Command.withDescription("Join the group of an invite, and print its id"))

/** The commands about one conversation. */
export const conversationCommands = [
  historyCommand,
  searchCommand,
  getCommand,
  readCommand,
  groupCommand,
  inviteCommand,
  joinCommand
] as const
