import { Option, Schema } from "effect"
import { UserId } from "../../domain/Ids.ts"
import { Tokens } from "../../domain/Session.ts"
import type { TokenStorage } from "../credentials/Holders.ts"
import { type Database, prefixOf, userKey } from "./Database.ts"

const decode = Schema.decodeUnknownOption(Schema.toEncoded(Tokens))

/** Keeps the tokens of a user in a database, so that the next tab that leads has the newest ones. */
export const storedTokens = (database: Database, userId: string): TokenStorage => {
  const key = `${prefixOf(userId)}tokens`
  return {
    load: async () => {
      const [entry] = await database.read(key)
      return entry === undefined ? undefined : Option.getOrUndefined(decode(entry[1]))
    },
    save: (tokens) => database.write({ put: [[key, tokens]], remove: [] })
  }
}

const SavedUser = Schema.Struct({ subject: Schema.String, userId: UserId })
const decodeUser = Schema.decodeUnknownOption(SavedUser)

/** Keeps who the user of an app's tokens is. `subject` is whom the tokens name. */
export const storedUser = (database: Database) => ({
  load: async () => {
    const [entry] = await database.read(userKey)
    return entry === undefined ? undefined : Option.getOrUndefined(decodeUser(entry[1]))
  },
  save: (user: typeof SavedUser.Type) => database.write({ put: [[userKey, user]], remove: [] })
})
