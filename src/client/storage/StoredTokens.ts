import { Option, Schema } from "effect"
import { Tokens } from "../../domain/Session.ts"
import type { TokenStorage } from "../Holders.ts"
import { type Database, prefixOf } from "./Database.ts"

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
