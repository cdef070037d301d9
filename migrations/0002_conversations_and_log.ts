import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    CREATE TABLE conversations (
      id uuid PRIMARY KEY,
      kind text NOT NULL CHECK (kind IN ('dm', 'group')),
      title text,
      avatar_url text,
      created_by uuid NOT NULL REFERENCES users (id),
      created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
      history_for_new_members text NOT NULL DEFAULT 'from-join' CHECK (history_for_new_members IN ('all', 'from-join'))
    )`

  // The hot half: only these columns change with each event, none is indexed, so that updates stay HOT.
  yield* sql`
    CREATE TABLE conversation_heads (
      conversation_id uuid PRIMARY KEY REFERENCES conversations (id),
      seq bigint NOT NULL,
      last_activity_at timestamptz(3) NOT NULL
    ) WITH (fillfactor = 50)`

  // One DM per pair, for ever; a DM with oneself has user_low = user_high.
  yield* sql`
    CREATE TABLE direct_conversations (
      user_low uuid NOT NULL REFERENCES users (id),
      user_high uuid NOT NULL REFERENCES users (id),
      conversation_id uuid NOT NULL UNIQUE REFERENCES conversations (id),
      PRIMARY KEY (user_low, user_high),
      CHECK (user_low <= user_high)
    )`

  // A member sees s when visible_from_seq <= s and (left_seq is null or s < left_seq).
  yield* sql`
    CREATE TABLE conversation_members (
      conversation_id uuid NOT NULL REFERENCES conversations (id),
      user_id uuid NOT NULL REFERENCES users (id),
      role text NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
      joined_seq bigint NOT NULL,
      visible_from_seq bigint NOT NULL,
      left_seq bigint,
      joined_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
      read_seq bigint NOT NULL,
      delivered_seq bigint NOT NULL,
      muted_until timestamptz(3),
      archived boolean NOT NULL DEFAULT false,
      pinned boolean NOT NULL DEFAULT false,
      notify text NOT NULL DEFAULT 'all' CHECK (notify IN ('all', 'mentions', 'none')),
      user_seq bigint NOT NULL DEFAULT 0,
      PRIMARY KEY (conversation_id, user_id)
    ) WITH (fillfactor = 70)`
  yield* sql`CREATE INDEX conversation_members_user ON conversation_members (user_id, conversation_id)`

  // No foreign keys on this hot table: each row would lock two more. The append checks both under the head's lock, and
  // neither conversations nor users are ever deleted.
  yield* sql`
    CREATE TABLE messages (
      conversation_id uuid NOT NULL,
      seq bigint NOT NULL,
      id uuid NOT NULL,
      sender_id uuid NOT NULL,
      client_message_id text COLLATE "C" NOT NULL,
      request_hash bytea NOT NULL,
      type text NOT NULL,
      body text NOT NULL,
      reply_to_seq bigint,
      thread_root_seq bigint,
      created_at timestamptz(3) NOT NULL,
      edited_at timestamptz(3),
      deleted_at timestamptz(3),
      revision int NOT NULL DEFAULT 1,
      changed_seq bigint NOT NULL,
      PRIMARY KEY (conversation_id, seq)
    )`
  yield* sql`CREATE UNIQUE INDEX messages_id ON messages (id)`
  yield* sql`
    CREATE UNIQUE INDEX messages_client_message_id ON messages (conversation_id, sender_id, client_message_id)`

  // Every durable change that is not the creation of a message. References, never bodies.
  yield* sql`
    CREATE TABLE conversation_events (
      conversation_id uuid NOT NULL REFERENCES conversations (id),
      seq bigint NOT NULL,
      event text NOT NULL,
      actor_id uuid NOT NULL REFERENCES users (id),
      at timestamptz(3) NOT NULL,
      message_seq bigint,
      data jsonb NOT NULL,
      PRIMARY KEY (conversation_id, seq)
    )`
})
