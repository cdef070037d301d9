import { Console, Duration, Effect, Option, Schema } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { ExternalId } from "../domain/ExternalId.ts"
import { ServiceTokenId } from "../domain/Ids.ts"
import { type CreatedServiceToken, longestServiceToken, NewServiceToken, ServiceScope } from "../domain/ServiceToken.ts"
import { DisplayName, Username } from "../domain/User.ts"
import { ServerUsers } from "../services/admin/ServerUsers.ts"
import { ServiceTokens } from "../services/admin/ServiceTokens.ts"
import { currentActor, most, print, printAll } from "./Output.ts"

const decodeDuration = Schema.decodeOption(Schema.DurationFromString)

const ofToken = {
  name: Flag.String("name").pipe(
    Flag.withDescription("What it is for, so that you recognise it in the list"),
    Flag.withSchema(NewServiceToken.fields.name),
    Flag.withDefault("made at the command line")
  ),
  expires: Flag.String("expires").pipe(
    Flag.withMetavar("<duration>"),
    Flag.withDescription('After which time it expires, such as "90 days"; without it never'),
    Flag.filterMap(
      (text) =>
        decodeDuration(text).pipe(
          Option.map((after) => Math.round(Duration.toSeconds(after))),
          Option.filter((seconds) => seconds >= 1 && seconds <= longestServiceToken)
        ),
      () => 'must be a time such as "90 days", and at most ten years'
    ),
    Flag.optional
  )
}

/** Prints a new token alone, so that the output can go into a file. */
const show = (kind: string, { id, token }: CreatedServiceToken) =>
  Effect.andThen(Console.error(`Made the ${kind} ${id}. It cannot be shown again:`), Console.log(token))

const create = Command.make(
  "create",
  {
    scopes: Flag.Literals("scope", ServiceScope.literals).pipe(
      Flag.withDescription("What the token permits; may be repeated"),
      Flag.atLeast(1)
    ),
    ...ofToken
  },
  Effect.fnUntraced(function* ({ expires, name, scopes }) {
    const tokens = yield* ServiceTokens
    const expiresInSeconds = Option.getOrNull(expires)
    yield* show("service token", yield* tokens.create(yield* currentActor, { name, scopes, expiresInSeconds }))
  })
).pipe(Command.withDescription("Make a service token and print it, once"))

const bot = Command.make(
  "bot",
  {
    username: Argument.String("username").pipe(Argument.withSchema(Username)),
    displayName: Flag.String("display-name").pipe(
      Flag.withDescription("The name that others see; it can be changed with a later token"),
      Flag.withSchema(DisplayName),
      Flag.optional
    ),
    ...ofToken
  },
  Effect.fnUntraced(function* ({ displayName, expires, name, username }) {
    const users = yield* ServerUsers
    const actor = yield* currentActor
    const externalId = ExternalId.make(`bot:${username}`)
    const shown = Option.match(displayName, { onNone: () => ({}), onSome: (displayName) => ({ displayName }) })
    yield* users.upsert(actor, [{ externalId, username, kind: "bot", ...shown }])
    const token = { name, expiresInSeconds: Option.getOrNull(expires) }
    yield* show("bot token", yield* users.createBotToken(actor, externalId, token))
  })
).pipe(
  Command.withDescription(
    "Make a bot, unless there is one with the external id bot:<username>, and print a token for it, once"
  )
)

const list = Command.make("list", { most }, ({ most }) =>
  ServiceTokens.use((tokens) => printAll(most, tokens.list))
).pipe(Command.withDescription("Print the tokens that are not revoked, one JSON object a line, the newest first"))

const revoke = Command.make(
  "revoke",
  { id: Argument.String("id").pipe(Argument.withSchema(ServiceTokenId)) },
  Effect.fnUntraced(function* ({ id }) {
    const tokens = yield* ServiceTokens
    yield* tokens.revoke(yield* currentActor, id)
    yield* print({ revoked: id })
  })
).pipe(Command.withDescription("End a token on all nodes at once"))

/** The commands for service tokens. They work on the database, whether the service runs or not. */
export const tokenCommand = Command.make("token").pipe(
  Command.withDescription("Make, list and revoke service tokens and the tokens of bots"),
  Command.withSubcommands([create, bot, list, revoke])
)
