import { Console, Duration, Effect, Option, Schema } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { ServiceTokenId } from "../domain/Ids.ts"
import { longestServiceToken, NewServiceToken, ServiceScope } from "../domain/ServiceToken.ts"
import { ServiceTokens } from "../services/admin/ServiceTokens.ts"
import { currentActor, most, print, printAll } from "./Output.ts"

const decodeDuration = Schema.decodeOption(Schema.DurationFromString)

const create = Command.make(
  "create",
  {
    scopes: Flag.Literals("scope", ServiceScope.literals).pipe(
      Flag.withDescription("What the token permits; may be repeated"),
      Flag.atLeast(1)
    ),
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
  },
  Effect.fnUntraced(function* ({ expires, name, scopes }) {
    const tokens = yield* ServiceTokens
    const { token, ...made } = yield* tokens.create(yield* currentActor, {
      name,
      scopes,
      expiresInSeconds: Option.getOrNull(expires)
    })
    yield* Console.error(`Made the service token ${made.id}. It cannot be shown again:`)
    yield* Console.log(token)
  })
).pipe(Command.withDescription("Make a service token and print it, once"))

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
  Command.withDescription("Make, list and revoke service tokens"),
  Command.withSubcommands([create, list, revoke])
)
