import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // email_key and search_name are folded by the application, so that it does not depend on the database's locale;
  // in collation "C" the plain indexes serve ranges of a prefix and the order of pages.
  yield* sql`
    CREATE TABLE users (
      id uuid PRIMARY KEY,
      email text NOT NULL,
      email_key text COLLATE "C" NOT NULL,
      username text COLLATE "C" NOT NULL,
      display_name text NOT NULL,
      search_name text COLLATE "C" NOT NULL,
      avatar_url text,
      password_hash text NOT NULL,
      created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
      deleted_at timestamptz(3)
    )`
  yield* sql`CREATE UNIQUE INDEX users_email ON users (email_key)`
  yield* sql`CREATE UNIQUE INDEX users_username ON users (username)`
  yield* sql`CREATE INDEX users_search_name ON users (search_name, username)`

  // The generations and rotated_at carry the rotation of refresh tokens: see services/RefreshTokens.ts.
  // ended_seq orders the ends of sessions, so that every node can read those since its last look.
  yield* sql`
    CREATE TABLE sessions (
      id uuid PRIMARY KEY,
      user_id uuid NOT NULL REFERENCES users (id),
      user_agent text NOT NULL,
      ip text NOT NULL,
      generation int NOT NULL DEFAULT 1,
      previous_generation int NOT NULL DEFAULT 0,
      dropped_generation int NOT NULL DEFAULT 0,
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

  // A function, since its second statement must see the sessions that were made while the first waited for the lock
  // (a login takes a share lock on its user). NULL: the password is no longer p_old.
  yield* sql`
    CREATE FUNCTION change_password(p_user_id uuid, p_session_id uuid, p_old text, p_new text, p_at timestamptz)
    RETURNS uuid[] LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      ended uuid[];
    BEGIN
      UPDATE users SET password_hash = p_new
        WHERE id = p_user_id AND password_hash = p_old AND deleted_at IS NULL;
      IF NOT FOUND THEN
        RETURN NULL;
      END IF;
      WITH others AS (
        UPDATE sessions SET ended_at = p_at, ended_seq = nextval('session_ends')
        WHERE user_id = p_user_id AND id <> p_session_id AND ended_at IS NULL
        RETURNING id
      )
      SELECT COALESCE(array_agg(others.id), '{}') INTO ended FROM others;
      RETURN ended;
    END $$`

  // Each change of a user's own state takes the next seq here and stamps its row with it.
  yield* sql`
    CREATE TABLE user_heads (
      user_id uuid PRIMARY KEY REFERENCES users (id),
      seq bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 50)`
})
