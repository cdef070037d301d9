import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/** Messages that are to be sent later. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // A row is there until its message is sent. claimed_until is null until the first attempt: from then on it may be in
  // the log already, so it is neither changed nor cancelled. failure: why it was refused, which is final.
  yield* sql`
    CREATE TABLE scheduled_messages (
      id uuid PRIMARY KEY,
      user_id uuid NOT NULL REFERENCES users (id),
      conversation_id uuid NOT NULL REFERENCES conversations (id),
      content jsonb NOT NULL,
      send_at timestamptz(3) NOT NULL,
      created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
      key text,
      claimed_until timestamptz(3),
      failure jsonb
    )`
  yield* sql`CREATE INDEX scheduled_messages_due ON scheduled_messages (send_at) WHERE failure IS NULL`
  yield* sql`CREATE INDEX scheduled_messages_user ON scheduled_messages (user_id, send_at, id)`
  yield* sql`CREATE UNIQUE INDEX scheduled_messages_key ON scheduled_messages (user_id, key) WHERE key IS NOT NULL`

  // Under the user's row, so that the limit and the key hold whatever else he schedules. scheduled_id is that of the
  // message, new or found by its key.
  yield* sql`
    CREATE FUNCTION schedule_message(p_id uuid, p_user_id uuid, p_conversation_id uuid, p_content jsonb,
      p_send_at timestamptz, p_key text, p_limit int)
    RETURNS TABLE (outcome text, scheduled_id uuid) LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      now timestamptz := clock_timestamp();
      known scheduled_messages;
    BEGIN
      PERFORM FROM users u WHERE u.id = p_user_id FOR NO KEY UPDATE;
      SELECT * INTO known FROM scheduled_messages s WHERE s.user_id = p_user_id AND s.key = p_key;
      outcome := CASE
        WHEN known.id IS NOT NULL AND known.conversation_id = p_conversation_id AND known.content = p_content
          AND known.send_at = p_send_at::timestamptz(3) THEN 'scheduled'
        WHEN known.id IS NOT NULL THEN 'key-reused'
        WHEN NOT EXISTS (SELECT FROM conversation_members m WHERE m.conversation_id = p_conversation_id
          AND m.user_id = p_user_id AND m.left_seq IS NULL) THEN 'not-a-member'
        WHEN p_send_at <= now THEN 'too-early'
        WHEN p_send_at > now + interval '1 year' THEN 'too-late'
        WHEN (SELECT count(*) FROM scheduled_messages s WHERE s.user_id = p_user_id) >= p_limit THEN 'too-many'
        ELSE 'new' END;
      scheduled_id := COALESCE(known.id, p_id);
      IF outcome = 'new' THEN
        INSERT INTO scheduled_messages (id, user_id, conversation_id, content, send_at, created_at, key)
          VALUES (p_id, p_user_id, p_conversation_id, p_content, p_send_at, now, p_key);
        outcome := 'scheduled';
      END IF;
      RETURN NEXT;
    END $$`

  // Changes the fields that are given; what was refused is scheduled again.
  yield* sql`
    CREATE FUNCTION reschedule_message(p_id uuid, p_user_id uuid, p_content jsonb, p_send_at timestamptz)
    RETURNS text LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      now timestamptz := clock_timestamp();
      old scheduled_messages;
      at timestamptz;
    BEGIN
      SELECT * INTO old FROM scheduled_messages s WHERE s.id = p_id AND s.user_id = p_user_id FOR UPDATE;
      IF NOT FOUND THEN RETURN 'not-found'; END IF;
      at := COALESCE(p_send_at, old.send_at);
      IF old.claimed_until IS NOT NULL THEN RETURN 'sending'; END IF;
      IF at <= now THEN RETURN 'too-early'; END IF;
      IF at > now + interval '1 year' THEN RETURN 'too-late'; END IF;
      UPDATE scheduled_messages s SET content = s.content || p_content, send_at = at, failure = NULL WHERE s.id = p_id;
      RETURN 'scheduled';
    END $$`
})
