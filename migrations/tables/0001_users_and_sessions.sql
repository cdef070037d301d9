-- Users, their sessions, and the blocks between them.

-- The application folds email_key and search_name, so that they do not depend on the locale of the database. In
-- collation "C" a plain index serves searches by prefix and gives pages a stable order.
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
  -- Set when the account was closed. The row stays, because messages and events refer to it.
  deleted_at timestamptz(3)
);
CREATE UNIQUE INDEX users_email ON users (email_key);
CREATE UNIQUE INDEX users_username ON users (username);
CREATE INDEX users_search_name ON users (search_name, username);

-- The four generations and rotated_at describe the rotation of refresh tokens: see services/identity/RefreshTokens.ts.
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
  -- A number from session_ends. It orders the ends of sessions, so that each node can read those that are new to it.
  ended_seq bigint
);
CREATE INDEX sessions_user ON sessions (user_id) WHERE ended_at IS NULL;
CREATE INDEX sessions_ended ON sessions (ended_seq) WHERE ended_seq IS NOT NULL;
-- For purge(). LEAST ignores the null of a session that was not ended.
CREATE INDEX sessions_over ON sessions (LEAST(ended_at, expires_at));
CREATE SEQUENCE session_ends;

-- The last user seq of each user. Every change of a user's own state takes the next one and stamps its row with it. The
-- row of a user who never changed anything does not exist. The low fillfactor keeps these updates HOT.
CREATE TABLE user_heads (
  user_id uuid PRIMARY KEY REFERENCES users (id),
  seq bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- blocked_id is blocked by user_id. A DM of the two repeats it in conversation_members.blocked.
CREATE TABLE blocks (
  user_id uuid NOT NULL REFERENCES users (id),
  blocked_id uuid NOT NULL REFERENCES users (id),
  user_seq bigint NOT NULL DEFAULT 0,
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (user_id, blocked_id)
);

-- The results of requests with an Idempotency-Key, so that a retry gets the same answer. See idempotency_window().
CREATE TABLE idempotency_keys (
  user_id uuid NOT NULL REFERENCES users (id),
  key text NOT NULL,
  request_hash bytea NOT NULL,
  result_id uuid NOT NULL,
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (user_id, key)
);
CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);

-- How far a stream of Server-Sent Events was when it was opened. The ids of its events name a row here and what came
-- after it.
CREATE TABLE event_cursors (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users (id),
  conversation_ids uuid[] NOT NULL,
  seqs bigint[] NOT NULL,
  user_seq bigint NOT NULL,
  used_at timestamptz(3) NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX event_cursors_used ON event_cursors (used_at);
