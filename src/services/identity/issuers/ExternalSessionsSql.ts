import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { makeGroupCommit, type Pending, queueSize } from "../../platform/load/GroupCommit.ts"
import { orUnavailable, retryDeadlocks } from "../../platform/Sql.ts"
import type { ExternalUse, UsedExternal } from "../SessionStorage.ts"

type Use = ExternalUse & { readonly now: Date }

/** A use as an object of JSON, which the database reads as a row. */
const rowOf = ({ profile, ...use }: Use, place: number) => ({
  place,
  issuer: use.issuer,
  subject: use.subject,
  new_id: use.newUserId,
  usernames: profile.usernames,
  display_name: profile.displayName,
  search_name: profile.searchName,
  avatar_url: profile.avatarUrl,
  email: profile.email,
  team: profile.team,
  issued_at: new Date(use.issuedAt),
  at: use.now,
  creates: use.creates,
  updates: use.updates,
  session_id: use.sessionId,
  expires_at: new Date(use.expiresAt),
  begins: use.begins,
  user_agent: use.userAgent,
  ip: use.ip
})

/** Makes `SessionStorage.useExternal`. Many nodes' worth of reconnects arrive at once, so the calls share statements. */
export const makeUseExternal = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const commit = (batch: ReadonlyArray<Pending<Use, UsedExternal, never>>) =>
    sql<UsedExternal & { readonly place: number }>`
      SELECT t.place, u.outcome, u.user_id, u.created
      FROM jsonb_to_recordset(${JSON.stringify(batch.map(({ input }, place) => rowOf(input, place)))}::text::jsonb) AS t (
        place int, issuer text, subject text, new_id uuid, usernames text[], display_name text, search_name text,
        avatar_url text, email text, team text, issued_at timestamptz, at timestamptz, creates boolean, updates boolean,
        session_id uuid, expires_at timestamptz, begins boolean, user_agent text, ip text)
      CROSS JOIN LATERAL use_external_session(t.issuer, t.subject, t.new_id, t.usernames, t.display_name, t.search_name,
        t.avatar_url, t.email, t.team, t.issued_at, t.at, t.creates, t.updates, t.session_id, t.expires_at, t.begins,
        t.user_agent, t.ip) u`.pipe(
      retryDeadlocks,
      orUnavailable,
      Effect.match({
        onSuccess: (rows) => {
          for (const { place, ...used } of rows) batch[place]?.answer(Effect.succeed(used))
        },
        onFailure: (error) => {
          for (const { answer } of batch) answer(Effect.fail(error))
        }
      })
    )

  const { submit } = yield* makeGroupCommit<Use, UsedExternal, never>({ queue: "sessions", ...queueSize, commit })
  return (use: ExternalUse, now: Date) => submit({ ...use, now })
})
