import type { Schema } from "effect"
import { Forbidden, Internal, RateLimited, Unauthenticated, Unavailable } from "../../domain/Problem.ts"

/** Returns how a document refers to a Schema. */
export type Describe = (schema: Schema.Top) => unknown

/** Describes an answer that is a problem. */
export const problem = (description: string, schema: Schema.Top, describe: Describe) => ({
  description,
  content: { "application/problem+json": { schema: describe(schema) } }
})

/** How a user signs in. */
export const signedIn = [{ bearer: [] }, { cookie: [] }]
/** What every request of a user may be refused with. */
export const refusedCaller = (describe: Describe) => ({
  401: problem("There is no valid access token", Unauthenticated, describe),
  403: problem("With the cookie, a change must come from a page of an allowed origin", Forbidden, describe),
  429: problem("There are too many requests or uploads", RateLimited, describe),
  500: problem("There is a fault in the service", Internal, describe),
  503: problem("The store of files or the database does not answer", Unavailable, describe)
})
