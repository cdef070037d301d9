import { Cause, Console, Effect, FileSystem, Layer, Option, Redacted } from "effect"
import { Argument, CliConfig, CliError, CliOutput, Command, Flag, GlobalFlag, Prompt } from "effect/cli"
import { login, register } from "../client/Credentials.ts"
import { InviteCode } from "../domain/Ids.ts"
import { wordsOf } from "./CliFailure.ts"
import { conversation, conversationCommands, json } from "./ConversationCommands.ts"
import { SessionFile } from "./SessionFile.ts"
import { smoke } from "./Smoke.ts"
import { http, nameOf, send, Token, tail, Url } from "./Talk.ts"

const passwordFile = Flag.String("password-file").pipe(
  Flag.withMetavar("<file>"),
  Flag.withDescription("Read the password from this file instead of asking for it"),
  Flag.optional
)

/** Passwords are never flags, because other users of the machine can see those. */
const passwordOf = (file: Option.Option<string>) =>
  Option.match(file, {
    onSome: (path) =>
      Effect.map(
        Effect.flatMap(FileSystem.FileSystem, (files) => files.readFileString(path)),
        (text) => text.replace(/\r?\n$/, "")
      ),
    onNone: () => Effect.map(Prompt.run(Prompt.Password({ message: "Password" })), Redacted.value)
  })

const registerCommand = Command.make(
  "register",
  {
    passwordFile,
    username: Argument.String("username"),
    email: Argument.String("email"),
    displayName: Flag.String("display-name").pipe(Flag.optional),
    invite: Flag.String("invite").pipe(
      Flag.withMetavar("<code>"),
      Flag.withDescription("Join the group of this invite, which the service may demand"),
      Flag.withSchema(InviteCode),
      Flag.optional
    )
  },
  Effect.fnUntraced(function* ({ displayName, email, invite, passwordFile, username }) {
    const url = yield* Url
    const password = yield* passwordOf(passwordFile)
    const name = Option.getOrElse(displayName, () => username)
    const inviteCode = Option.isSome(invite) ? { inviteCode: invite.value } : {}
    const user = yield* register(url, { username, email, password, displayName: name, ...inviteCode })
    yield* (yield* SessionFile).save({ url, tokens: yield* login(url, { login: username, password }) })
    yield* Console.log(`${user.username} (${user.id}) is registered and signed in`)
  })
).pipe(Command.withDescription("Make an account, and sign in"))

const loginCommand = Command.make(
  "login",
  { passwordFile, login: Argument.String("login") },
  Effect.fnUntraced(function* (given) {
    const url = yield* Url
    const password = yield* passwordOf(given.passwordFile)
    const tokens = yield* login(url, { login: given.login, password })
    yield* (yield* SessionFile).save({ url, tokens })
    yield* Console.log(`signed in as ${tokens.user.username}`)
  })
).pipe(Command.withDescription("Sign in with a username or an e-mail address"))

const logoutCommand = Command.make(
  "logout",
  {},
  Effect.fnUntraced(function* () {
    const client = yield* http
    yield* client.auth.logout({}).pipe(Effect.catchTag("Unauthenticated", () => Effect.void))
    if (Option.isNone(yield* Token)) yield* (yield* SessionFile).forget
    yield* Console.log("signed out")
  })
).pipe(Command.withDescription("End the session"))

const whoamiCommand = Command.make(
  "whoami",
  {},
  Effect.fnUntraced(function* () {
    const me = yield* (yield* http).user.me({})
    yield* Console.log(`${me.username} (${me.id}), ${me.email}`)
  })
).pipe(Command.withDescription("Show who is signed in"))

const conversationsCommand = Command.make(
  "conversations",
  { json },
  Effect.fnUntraced(function* ({ json }) {
    const client = yield* http
    let cursor: string | undefined
    do {
      const page = yield* client.conversation.list({ query: cursor === undefined ? {} : { cursor } })
      for (const one of page.items) {
        const unread = one.me.unreadCount > 0 ? `, ${one.me.unreadCount} unread` : ""
        yield* Console.log(json ? JSON.stringify(one) : `${one.id}  ${nameOf(one)}${unread}`)
      }
      cursor = page.nextCursor
    } while (cursor !== undefined)
  })
).pipe(Command.withDescription("List the conversations, those with the latest activity first"))

const sendCommand = Command.make(
  "send",
  {
    conversation,
    words: Argument.String("text").pipe(Argument.atLeast(0)),
    attach: Flag.String("attach").pipe(
      Flag.withMetavar("<file>"),
      Flag.withDescription("Send this file with the message; may be repeated"),
      Flag.atLeast(0)
    )
  },
  Effect.fnUntraced(function* ({ attach, conversation, words }) {
    const { seq } = yield* send(conversation, words.join(" "), attach)
    yield* Console.log(`sent, seq ${seq}`)
  })
).pipe(Command.withDescription("Send a message, and wait until it is stored"))

const tailCommand = Command.make("tail", { conversation, json }, ({ conversation, json }) =>
  tail(conversation, { json })
).pipe(Command.withDescription("Show a conversation live, until Ctrl+C"))

const smokeCommand = Command.make("smoke", {}, () => Effect.flatMap(Url, smoke)).pipe(
  Command.withDescription("Try a deployment with two new users (smoke-…): sign in, connect, talk, read")
)

const reasonOf = (cause: Cause.Cause<unknown>) => {
  const failure = Option.getOrUndefined(Cause.findErrorOption(cause))
  return failure instanceof Error ? wordsOf(failure).replace(/\p{Cc}+/gu, " ") : Cause.pretty(cause)
}

const report = (cause: Cause.Cause<unknown>) =>
  Cause.hasInterruptsOnly(cause) || CliError.isCliError(Option.getOrUndefined(Cause.findErrorOption(cause)))
    ? Effect.void
    : Console.error(`chat: ${reasonOf(cause)}`)

/** A command that was typed wrongly is one line on stderr, too. */
const presenter = CliOutput.Presenter.of({
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Console.error(
          `chat: ${event.errors.map(({ message }) => message.replace(/\s+/g, " ")).join("; ")} (${event.commandPath.join(" ")} --help)`
        )
      : CliOutput.defaultPresenter.present(event)
})

/** The client for people and operators at a terminal. A failure is one line on stderr. */
export const chatCommand = (version: string) =>
  Command.make("chat").pipe(
    Command.withDescription("Talk over a chat service from the terminal, or try a deployment"),
    Command.withSubcommands([
      registerCommand,
      loginCommand,
      logoutCommand,
      whoamiCommand,
      conversationsCommand,
      sendCommand,
      tailCommand,
      ...conversationCommands,
      smokeCommand
    ]),
    Command.withGlobalFlags([Url, Token]),
    Command.run({ version }),
    Effect.tapCause(report),
    Effect.provide([
      SessionFile.layer,
      Layer.succeed(CliOutput.Presenter, presenter),
      CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] })
    ])
  )
