import { Effect, FileSystem, Option, Redacted } from "effect"
import { Argument, Command, Flag, Prompt } from "effect/cli"
import { AccountFilter, MessagesOfDeleted, RegistrationMode } from "../domain/Account.ts"
import { ConversationId, UserId } from "../domain/Ids.ts"
import type { NotFound, Unavailable } from "../domain/Problem.ts"
import { AccountAdmin } from "../services/admin/AccountAdmin.ts"
import { AccountExport } from "../services/admin/AccountExport.ts"
import { Audit, type AuditActor } from "../services/admin/Audit.ts"
import { ConversationAdmin } from "../services/admin/ConversationAdmin.ts"
import { PasswordResets } from "../services/admin/PasswordResets.ts"
import { RegistrationAdmin } from "../services/admin/RegistrationAdmin.ts"
import { currentActor, most, print, printAll, printEach } from "./Output.ts"

const userId = Argument.String("userId").pipe(
  Argument.withDescription("The id of the account, as the command accounts prints it"),
  Argument.withSchema(UserId)
)

const accounts = Command.make(
  "accounts",
  {
    query: Flag.String("query").pipe(
      Flag.withDescription("How the username begins, or the whole e-mail address"),
      Flag.withSchema(AccountFilter.fields.query),
      Flag.optional
    ),
    disabled: Flag.Boolean("disabled").pipe(Flag.withDescription("Only disabled accounts"), Flag.withDefault(false)),
    most
  },
  ({ disabled, most, query }) =>
    AccountAdmin.use((accounts) =>
      printAll(most, (page) =>
        accounts.list(
          { ...(Option.isSome(query) && { query: query.value }), ...(disabled && { status: "disabled" }) },
          page
        )
      )
    )
).pipe(Command.withDescription("Print the accounts, one JSON object a line, by username"))

/** A command that does one thing to an account. */
const onAccount = (
  name: string,
  description: string,
  act: (
    accounts: AccountAdmin["Service"],
    actor: AuditActor,
    userId: UserId
  ) => Effect.Effect<void, NotFound | Unavailable>
) =>
  Command.make(
    name,
    { userId },
    Effect.fnUntraced(function* ({ userId }) {
      yield* act(yield* AccountAdmin, yield* currentActor, userId)
      yield* print({ done: name, userId })
    })
  ).pipe(Command.withDescription(description))

const disable = onAccount("disable", "Keep a user out: end the sessions and refuse logins", (accounts, actor, userId) =>
  accounts.disable(actor, userId)
)
const enable = onAccount("enable", "Let a disabled user log in again", (accounts, actor, userId) =>
  accounts.enable(actor, userId)
)
const endSessions = onAccount("end-sessions", "Sign out all devices of a user", (accounts, actor, userId) =>
  accounts.endSessions(actor, userId)
)

const deleteAccount = Command.make(
  "delete-account",
  {
    userId,
    messages: Flag.Literals("messages", MessagesOfDeleted.literals).pipe(
      Flag.withDescription("Whether what the user has written stays or is erased, by a node that runs"),
      Flag.withDefault("keep")
    )
  },
  Effect.fnUntraced(function* ({ messages, userId }) {
    const accounts = yield* AccountAdmin
    yield* accounts.delete(yield* currentActor, userId, messages)
    yield* print({ done: "delete-account", userId })
  })
).pipe(Command.withDescription("Delete an account for good, as its user could"))

const deleteConversation = Command.make(
  "delete-conversation",
  { conversationId: Argument.String("conversationId").pipe(Argument.withSchema(ConversationId)) },
  Effect.fnUntraced(function* ({ conversationId }) {
    const conversations = yield* ConversationAdmin
    yield* conversations.delete(yield* currentActor, conversationId)
    yield* print({ done: "delete-conversation", conversationId })
  })
).pipe(Command.withDescription("Delete a conversation for good, for all its members"))

const setPassword = Command.make(
  "set-password",
  {
    userId,
    passwordFile: Flag.String("password-file").pipe(
      Flag.withMetavar("<file>"),
      Flag.withDescription("Read the password from this file instead of asking for it"),
      Flag.optional
    )
  },
  Effect.fnUntraced(function* ({ passwordFile, userId }) {
    // A password is never a flag, because other users of the machine can see those.
    const password = Option.isSome(passwordFile)
      ? (yield* (yield* FileSystem.FileSystem).readFileString(passwordFile.value)).replace(/\r?\n$/, "")
      : Redacted.value(yield* Prompt.run(Prompt.Password({ message: "New password" })))
    const resets = yield* PasswordResets
    yield* resets.set(yield* currentActor, userId, password)
    yield* print({ done: "set-password", userId })
  })
).pipe(Command.withDescription("Give a user a new password, and end the sessions"))

const resetPassword = Command.make(
  "reset-password",
  { userId },
  Effect.fnUntraced(function* ({ userId }) {
    const resets = yield* PasswordResets
    yield* print(yield* resets.create(yield* currentActor, userId))
  })
).pipe(
  Command.withDescription(
    "Print a token with which the user can set a new password, once, within an hour, and its link"
  )
)

const registration = Command.make(
  "registration",
  {
    mode: Argument.Literals("mode", [...RegistrationMode.literals, "default"]).pipe(
      Argument.withDescription("Who may register; default lets auth.registration hold again"),
      Argument.optional
    )
  },
  Effect.fnUntraced(function* ({ mode }) {
    const registration = yield* RegistrationAdmin
    if (Option.isSome(mode)) yield* registration.set(yield* currentActor, mode.value === "default" ? null : mode.value)
    yield* print(yield* registration.get)
  })
).pipe(Command.withDescription("Open or close registration on all nodes, and print who may register"))

const exportAccount = Command.make(
  "export",
  { userId },
  Effect.fnUntraced(function* ({ userId }) {
    const exports = yield* AccountExport
    yield* printEach(yield* exports.open(yield* currentActor, userId))
  })
).pipe(Command.withDescription("Print what the service knows of a user, one JSON object a line; the last is end"))

const audit = Command.make("audit", { most }, ({ most }) => Audit.use((audit) => printAll(most, audit.list))).pipe(
  Command.withDescription("Print the audit log, one JSON object a line, the newest first")
)

/** The commands of administrators. They work on the database, whether the service runs or not. */
export const adminCommand = Command.make("admin").pipe(
  Command.withDescription("Administer accounts, and read the audit log"),
  Command.withSubcommands([
    accounts,
    disable,
    enable,
    endSessions,
    setPassword,
    resetPassword,
    deleteAccount,
    deleteConversation,
    exportAccount,
    registration,
    audit
  ])
)
