import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/** Invites to groups. They are no events: who comes by one is, and its use counts in the transaction of that. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    CREATE TABLE invites (
      code text COLLATE "C" PRIMARY KEY,
      number bigint GENERATED ALWAYS AS IDENTITY,
      conversation_id uuid NOT NULL REFERENCES conversations (id),
      created_by uuid NOT NULL REFERENCES users (id),
      created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
      expires_at timestamptz(3),
      max_uses int,
      uses int NOT NULL DEFAULT 0,
      revoked_at timestamptz(3),
      idempotency_key text COLLATE "C",
      request_hash bytea
    )`
  yield* sql`CREATE UNIQUE INDEX invites_conversation ON invites (conversation_id, number)`
  // Not unique: after a day a key is good for another invite.
  yield* sql`CREATE INDEX invites_key ON invites (created_by, idempotency_key) WHERE idempotency_key IS NOT NULL`

  // Of a group that nobody is left in, none is open: see accept_invite.
  yield* sql`
    CREATE FUNCTION is_open(i invites) RETURNS boolean LANGUAGE sql VOLATILE AS $$
      SELECT i.revoked_at IS NULL AND COALESCE(i.expires_at > clock_timestamp(), true)
        AND COALESCE(i.uses < i.max_uses, true)
    $$`

  // Under the head's lock a key is taken once. Outcomes: changed · unchanged (a retry under its key, within a day) ·
  // reused (a key that stands for another request) · not-a-member · not-a-group · forbidden.
  yield* sql`
    CREATE FUNCTION create_invite(
      p_conversation_id uuid, p_actor_id uuid, p_code text, p_expires_in_seconds int, p_max_uses int, p_key text,
      p_request_hash bytea, OUT outcome text, OUT invite_code text
    ) LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      me record;
      known record;
      now timestamptz(3) := clock_timestamp();
    BEGIN
      SELECT * INTO me FROM lock_member(p_conversation_id, p_actor_id);
      SELECT i.code, i.request_hash INTO known FROM invites i
        WHERE i.created_by = p_actor_id AND i.idempotency_key = p_key AND i.created_at >= now - interval '24 hours';
      outcome := CASE
        WHEN me.role IS NULL THEN 'not-a-member'
        WHEN me.kind <> 'group' THEN 'not-a-group'
        WHEN me.role = 'member' THEN 'forbidden'
        WHEN known.code IS NULL THEN 'changed'
        WHEN known.request_hash = p_request_hash THEN 'unchanged'
        ELSE 'reused' END;
      invite_code := COALESCE(known.code, p_code);
      IF outcome <> 'changed' THEN RETURN; END IF;
      INSERT INTO invites (code, conversation_id, created_by, created_at, expires_at, max_uses, idempotency_key,
        request_hash)
      VALUES (p_code, p_conversation_id, p_actor_id, now, now + make_interval(secs => p_expires_in_seconds), p_max_uses,
        p_key, p_request_hash);
    END $$`

  // Outcomes: changed · unchanged (revoked before) · no-invite · not-a-member · not-a-group · forbidden.
  yield* sql`
    CREATE FUNCTION revoke_invite(p_conversation_id uuid, p_actor_id uuid, p_code text)
    RETURNS text LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      me record;
    BEGIN
      SELECT * INTO me FROM lock_member(p_conversation_id, p_actor_id);
      IF me.role IS NULL THEN RETURN 'not-a-member'; END IF;
      IF me.kind <> 'group' THEN RETURN 'not-a-group'; END IF;
      IF me.role = 'member' THEN RETURN 'forbidden'; END IF;
      UPDATE invites i SET revoked_at = clock_timestamp()
        WHERE i.code = p_code AND i.conversation_id = p_conversation_id AND i.revoked_at IS NULL;
      IF FOUND THEN RETURN 'changed'; END IF;
      RETURN CASE WHEN EXISTS (SELECT FROM invites i WHERE i.code = p_code AND i.conversation_id = p_conversation_id)
        THEN 'unchanged' ELSE 'no-invite' END;
    END $$`

  // A member who accepts again is one already, whatever became of the invite: it may have been his own use that used it
  // up. Outcomes: changed · unchanged · no-invite · group-full.
  yield* sql`
    CREATE FUNCTION accept_invite(p_code text, p_user_id uuid, p_limit int)
    RETURNS TABLE (outcome text, first_seq bigint, last_seq bigint) LANGUAGE plpgsql VOLATILE AS $$
    #variable_conflict use_column
    DECLARE
      group_id uuid;
      invite invites;
      me record;
    BEGIN
      SELECT i.conversation_id INTO group_id FROM invites i WHERE i.code = p_code;
      PERFORM FROM conversation_heads h WHERE h.conversation_id = group_id FOR UPDATE;
      PERFORM FROM users u WHERE u.id = p_user_id AND u.deleted_at IS NULL FOR SHARE;
      IF NOT FOUND THEN outcome := 'no-invite'; END IF;
      SELECT * INTO invite FROM invites i WHERE i.code = p_code;
      SELECT m.left_seq, m.removed INTO me FROM conversation_members m
        WHERE m.conversation_id = group_id AND m.user_id = p_user_id;
      CASE
        WHEN outcome IS NOT NULL THEN NULL;
        WHEN FOUND AND me.left_seq IS NULL THEN outcome := 'unchanged';
        WHEN group_id IS NULL OR me.removed OR NOT is_open(invite) THEN outcome := 'no-invite';
        WHEN NOT EXISTS (SELECT FROM conversation_members m WHERE m.conversation_id = group_id AND m.left_seq IS NULL)
          THEN outcome := 'no-invite';
        WHEN is_full(group_id, 1, p_limit) THEN outcome := 'group-full';
        ELSE
          UPDATE invites i SET uses = i.uses + 1 WHERE i.code = p_code;
          RETURN QUERY SELECT j.outcome, j.first_seq, j.last_seq FROM join_group(group_id, p_user_id, ARRAY[p_user_id]) j;
          RETURN;
      END CASE;
      RETURN QUERY SELECT outcome, NULL::bigint, NULL::bigint;
    END $$`
})
