import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    CREATE TABLE users (
      id uuid PRIMARY KEY,
      email text NOT NULL,
      username text NOT NULL,
      display_name text NOT NULL,
      avatar_url text,
      password_hash text NOT NULL,
      created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
      deleted_at timestamptz(3)
    )`
  yield* sql`CREATE UNIQUE INDEX users_email ON users (lower(email))`
  yield* sql`CREATE UNIQUE INDEX users_username ON users (username)`
  yield* sql`CREATE INDEX users_username_prefix ON users (username text_pattern_ops)`
  yield* sql`CREATE INDEX users_display_name_prefix ON users (lower(display_name) text_pattern_ops)`

  // generation, previous_generation and rotated_at carry the rotation of refresh tokens: see services/Sessions.ts.
  // ended_seq orders the ends of sessions, so that every node can read those since its last look.
  yield* sql`
    CREATE TABLE sessions (
      id uuid PRIMARY KEY,
      user_id uuid NOT NULL REFERENCES users (id),
      user_agent text NOT NULL,
      ip text NOT NULL,
      generation int NOT NULL DEFAULT 1,
      previous_generation int NOT NULL DEFAULT 0,
      used_generation int NOT NULL DEFAULT 0,
      rotated_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
      created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
      last_used_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
      expires_at timestamptz(3) NOT NULL,
      ended_at timestamptz(3),
      ended_seq bigint
    )`
  yield* sql`CREATE INDEX sessions_user ON sessions (user_id) WHERE ended_at IS NULL`
  yield* sql`CREATE INDEX sessions_ended ON sessions (ended_seq) WHERE ended_seq IS NOT NULL`
  yield* sql`CREATE SEQUENCE session_ends`

  // Each change of a user's own state takes the next seq here and stamps its row with it.
  yield* sql`
    CREATE TABLE user_heads (
      user_id uuid PRIMARY KEY REFERENCES users (id),
      seq bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 50)`
})
