import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // Ends an account whose user is in no group any more. The row stays, since messages and events name it, but nothing
  // in it tells who it was, and name and address are free again. Who logs in or is added to a group takes a share lock
  // on the row: either this waits and sees it, or that waits and finds nobody. The password's hash is compared again, for
  // it may have changed since it was verified. Outcomes: closed · in-groups · wrong-password.
  yield* sql`
    CREATE FUNCTION close_account(p_user_id uuid, p_password_hash text, p_at timestamptz, OUT outcome text, OUT ended uuid[])
    LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
      PERFORM FROM users u WHERE u.id = p_user_id AND u.password_hash = p_password_hash AND u.deleted_at IS NULL
        FOR UPDATE;
      IF NOT FOUND THEN
        outcome := 'wrong-password';
        RETURN;
      END IF;
      IF EXISTS (SELECT FROM conversation_members m
        JOIN conversations c ON c.id = m.conversation_id AND c.kind = 'group'
        WHERE m.user_id = p_user_id AND m.left_seq IS NULL) THEN
        outcome := 'in-groups';
        RETURN;
      END IF;
      UPDATE users u SET deleted_at = p_at, email = 'deleted-' || u.id, email_key = 'deleted-' || u.id,
          username = 'deleted-' || u.id, display_name = 'Deleted user', search_name = '', avatar_url = NULL,
          password_hash = ''
        WHERE u.id = p_user_id;
      WITH mine AS (
        UPDATE sessions s SET ended_at = p_at, ended_seq = nextval('session_ends'), user_agent = '', ip = ''
        WHERE s.user_id = p_user_id AND s.ended_at IS NULL
        RETURNING s.id
      )
      SELECT COALESCE(array_agg(mine.id), '{}') INTO ended FROM mine;
      DELETE FROM blocks b WHERE b.user_id = p_user_id;
      DELETE FROM drafts d WHERE d.user_id = p_user_id;
      DELETE FROM scheduled_messages s WHERE s.user_id = p_user_id;
      DELETE FROM event_cursors e WHERE e.user_id = p_user_id;
      DELETE FROM idempotency_keys k WHERE k.user_id = p_user_id;
      outcome := 'closed';
    END $$`
})
