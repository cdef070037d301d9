import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/**
 * Groups: their members and settings, as 0009 lays down. Beside its outcomes each function may answer not-a-member,
 * not-a-group or forbidden.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // Who was removed by another comes back only by being added.
  yield* sql`ALTER TABLE conversation_members ADD COLUMN removed boolean NOT NULL DEFAULT false`

  // Under the head's lock. One event each, in the order given; a new span of the log replaces an old one.
  yield* sql`
    CREATE FUNCTION join_group(p_conversation_id uuid, p_actor_id uuid, p_user_ids uuid[])
    RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      result changed;
      seqs bigint[];
      joined uuid;
      history text;
    BEGIN
      FOREACH joined IN ARRAY p_user_ids LOOP
        seqs := seqs || add_event(p_conversation_id, 'member.joined', p_actor_id, NULL,
          jsonb_build_object('userId', joined, 'role', 'member'));
      END LOOP;
      SELECT c.history_for_new_members INTO history FROM conversations c WHERE c.id = p_conversation_id;
      INSERT INTO conversation_members AS m (conversation_id, user_id, role, joined_seq, visible_from_seq, read_seq,
        delivered_seq)
      SELECT p_conversation_id, e.user_id, 'member', e.seq, v.seq, v.seq - 1, v.seq - 1
      FROM unnest(p_user_ids, seqs) AS e(user_id, seq)
      CROSS JOIN LATERAL (SELECT CASE WHEN history = 'all' THEN 1 ELSE e.seq END) AS v(seq)
      ORDER BY e.user_id
      ON CONFLICT (conversation_id, user_id) DO UPDATE SET role = EXCLUDED.role, joined_seq = EXCLUDED.joined_seq,
        visible_from_seq = EXCLUDED.visible_from_seq, left_seq = NULL, removed = false,
        joined_at = EXCLUDED.joined_at, read_seq = EXCLUDED.read_seq, delivered_seq = EXCLUDED.delivered_seq,
        muted_until = NULL, archived = false, pinned = false, notify = 'all';
      UPDATE conversation_members m SET user_seq = s.seq FROM next_user_seqs(p_user_ids) s
        WHERE m.conversation_id = p_conversation_id AND m.user_id = s.user_id;
      result.outcome := 'changed';
      result.first_seq := seqs[1];
      result.last_seq := seqs[cardinality(seqs)];
      RETURN result;
    END $$`

  yield* sql`
    CREATE FUNCTION is_full(p_conversation_id uuid, p_more int, p_limit int) RETURNS boolean LANGUAGE sql VOLATILE AS $$
      SELECT count(*) + p_more > p_limit FROM conversation_members m
        WHERE m.conversation_id = p_conversation_id AND m.left_seq IS NULL
    $$`

  // Those who are members already stay as they are. The lock on users keeps an account from ending meanwhile: see
  // close_account. Outcomes: changed · unchanged · no-user · blocked (by one of them) · group-full.
  yield* sql`
    CREATE FUNCTION add_members(p_conversation_id uuid, p_actor_id uuid, p_user_ids uuid[], p_limit int)
    RETURNS TABLE (outcome text, first_seq bigint, last_seq bigint, user_ids uuid[]) LANGUAGE plpgsql VOLATILE AS $$
    #variable_conflict use_column
    DECLARE
      me record;
      fresh uuid[];
    BEGIN
      SELECT * INTO me FROM lock_member(p_conversation_id, p_actor_id);
      PERFORM FROM users u WHERE u.id = ANY (p_user_ids) ORDER BY u.id FOR SHARE;
      SELECT COALESCE(array_agg(e.id ORDER BY e.ord), '{}') INTO fresh
        FROM unnest(p_user_ids) WITH ORDINALITY AS e(id, ord)
        WHERE NOT EXISTS (SELECT FROM conversation_members m
          WHERE m.conversation_id = p_conversation_id AND m.user_id = e.id AND m.left_seq IS NULL);
      CASE
        WHEN me.role IS NULL THEN outcome := 'not-a-member';
        WHEN me.kind <> 'group' THEN outcome := 'not-a-group';
        WHEN me.role = 'member' THEN outcome := 'forbidden';
        WHEN cardinality(fresh) = 0 THEN outcome := 'unchanged';
        WHEN (SELECT count(*) FROM users u WHERE u.id = ANY (fresh) AND u.deleted_at IS NULL) <> cardinality(fresh)
          THEN outcome := 'no-user';
        WHEN EXISTS (SELECT FROM blocks b WHERE b.user_id = ANY (fresh) AND b.blocked_id = p_actor_id)
          THEN outcome := 'blocked';
        WHEN is_full(p_conversation_id, cardinality(fresh), p_limit) THEN outcome := 'group-full';
        ELSE
          RETURN QUERY SELECT j.outcome, j.first_seq, j.last_seq, fresh
            FROM join_group(p_conversation_id, p_actor_id, fresh) j;
          RETURN;
      END CASE;
      RETURN QUERY SELECT outcome, NULL::bigint, NULL::bigint, '{}'::uuid[];
    END $$`

  // Removes a member, or lets the actor leave. The heir of the last owner is the admin, else the member, who has been
  // there longest. Outcomes: changed · unchanged (gone already) · no-member.
  yield* sql`
    CREATE FUNCTION remove_member(p_conversation_id uuid, p_actor_id uuid, p_user_id uuid)
    RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      result changed;
      me record;
      target record;
      heir uuid;
      leaves boolean := p_user_id = p_actor_id;
    BEGIN
      SELECT * INTO me FROM lock_member(p_conversation_id, p_actor_id);
      SELECT m.role, m.left_seq INTO target FROM conversation_members m
        WHERE m.conversation_id = p_conversation_id AND m.user_id = p_user_id;
      result.outcome := CASE
        WHEN me.role IS NULL THEN 'not-a-member'
        WHEN me.kind <> 'group' THEN 'not-a-group'
        WHEN me.role = 'member' AND NOT leaves THEN 'forbidden'
        WHEN target.role IS NULL THEN 'no-member'
        WHEN target.left_seq IS NOT NULL THEN 'unchanged'
        WHEN me.role = 'admin' AND target.role <> 'member' AND NOT leaves THEN 'forbidden'
        ELSE 'changed' END;
      IF result.outcome <> 'changed' THEN RETURN result; END IF;
      IF target.role = 'owner' AND NOT EXISTS (SELECT FROM conversation_members m
        WHERE m.conversation_id = p_conversation_id AND m.left_seq IS NULL AND m.role = 'owner'
          AND m.user_id <> p_user_id) THEN
        SELECT m.user_id INTO heir FROM conversation_members m
          WHERE m.conversation_id = p_conversation_id AND m.left_seq IS NULL AND m.user_id <> p_user_id
          ORDER BY m.role = 'member', m.joined_seq, m.user_id LIMIT 1;
        IF heir IS NOT NULL THEN
          UPDATE conversation_members m SET role = 'owner'
            WHERE m.conversation_id = p_conversation_id AND m.user_id = heir;
          result.first_seq := add_event(p_conversation_id, 'member.role-changed', p_actor_id, NULL,
            jsonb_build_object('userId', heir, 'role', 'owner'));
        END IF;
      END IF;
      result.last_seq := add_event(p_conversation_id, 'member.left', p_actor_id, NULL,
        jsonb_build_object('userId', p_user_id, 'removed', NOT leaves));
      result.first_seq := COALESCE(result.first_seq, result.last_seq);
      UPDATE conversation_members m SET left_seq = result.last_seq, removed = NOT leaves, user_seq = s.seq
        FROM next_user_seqs(ARRAY[p_user_id]) s
        WHERE m.conversation_id = p_conversation_id AND m.user_id = p_user_id;
      RETURN result;
    END $$`

  // Outcomes: changed · unchanged · no-member · last-owner.
  yield* sql`
    CREATE FUNCTION change_role(p_conversation_id uuid, p_actor_id uuid, p_user_id uuid, p_role text)
    RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      result changed;
      me record;
      target text;
    BEGIN
      SELECT * INTO me FROM lock_member(p_conversation_id, p_actor_id);
      SELECT m.role INTO target FROM conversation_members m
        WHERE m.conversation_id = p_conversation_id AND m.user_id = p_user_id AND m.left_seq IS NULL;
      result.outcome := CASE
        WHEN me.role IS NULL THEN 'not-a-member'
        WHEN me.kind <> 'group' THEN 'not-a-group'
        WHEN me.role <> 'owner' THEN 'forbidden'
        WHEN target IS NULL THEN 'no-member'
        WHEN target = p_role THEN 'unchanged'
        WHEN target = 'owner' AND NOT EXISTS (SELECT FROM conversation_members m
          WHERE m.conversation_id = p_conversation_id AND m.left_seq IS NULL AND m.role = 'owner'
            AND m.user_id <> p_user_id) THEN 'last-owner'
        ELSE 'changed' END;
      IF result.outcome <> 'changed' THEN RETURN result; END IF;
      UPDATE conversation_members m SET role = p_role
        WHERE m.conversation_id = p_conversation_id AND m.user_id = p_user_id;
      result.first_seq := add_event(p_conversation_id, 'member.role-changed', p_actor_id, NULL,
        jsonb_build_object('userId', p_user_id, 'role', p_role));
      result.last_seq := result.first_seq;
      RETURN result;
    END $$`

  // p_change: the fields to set, of title, avatarUrl and historyForNewMembers; the event has those that changed.
  yield* sql`
    CREATE FUNCTION update_group(p_conversation_id uuid, p_actor_id uuid, p_change jsonb)
    RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      result changed;
      me record;
      news jsonb;
    BEGIN
      SELECT * INTO me FROM lock_member(p_conversation_id, p_actor_id);
      SELECT COALESCE(jsonb_object_agg(e.key, e.value), '{}') INTO news
        FROM conversations c
        CROSS JOIN LATERAL jsonb_each(jsonb_build_object('title', c.title, 'avatarUrl', c.avatar_url,
          'historyForNewMembers', c.history_for_new_members)) AS old(key, value)
        JOIN jsonb_each(p_change) AS e(key, value) ON e.key = old.key AND e.value <> old.value
        WHERE c.id = p_conversation_id;
      result.outcome := CASE
        WHEN me.role IS NULL THEN 'not-a-member'
        WHEN me.kind <> 'group' THEN 'not-a-group'
        WHEN me.role = 'member' OR (me.role = 'admin' AND p_change ? 'historyForNewMembers') THEN 'forbidden'
        WHEN news = '{}' THEN 'unchanged'
        ELSE 'changed' END;
      IF result.outcome <> 'changed' THEN RETURN result; END IF;
      UPDATE conversations c SET
          title = CASE WHEN news ? 'title' THEN news ->> 'title' ELSE c.title END,
          avatar_url = CASE WHEN news ? 'avatarUrl' THEN news ->> 'avatarUrl' ELSE c.avatar_url END,
          history_for_new_members = COALESCE(news ->> 'historyForNewMembers', c.history_for_new_members)
        WHERE c.id = p_conversation_id;
      result.first_seq := add_event(p_conversation_id, 'conversation.updated', p_actor_id, NULL, news);
      result.last_seq := result.first_seq;
      RETURN result;
    END $$`

  // My own side of any conversation: the head need not be locked. p_change: the fields to set, of mutedUntil, archived,
  // pinned and notify. Outcomes: changed · unchanged · not-a-member.
  yield* sql`
    CREATE FUNCTION change_settings(p_conversation_id uuid, p_user_id uuid, p_change jsonb)
    RETURNS text LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      old conversation_members;
      new conversation_members;
    BEGIN
      SELECT * INTO old FROM conversation_members m
        WHERE m.conversation_id = p_conversation_id AND m.user_id = p_user_id AND m.left_seq IS NULL
        FOR NO KEY UPDATE;
      IF old.user_id IS NULL THEN RETURN 'not-a-member'; END IF;
      new := old;
      IF p_change ? 'mutedUntil' THEN new.muted_until := p_change ->> 'mutedUntil'; END IF;
      new.archived := COALESCE((p_change ->> 'archived')::boolean, old.archived);
      new.pinned := COALESCE((p_change ->> 'pinned')::boolean, old.pinned);
      new.notify := COALESCE(p_change ->> 'notify', old.notify);
      IF new = old THEN RETURN 'unchanged'; END IF;
      UPDATE conversation_members m SET muted_until = new.muted_until, archived = new.archived, pinned = new.pinned,
          notify = new.notify, user_seq = s.seq
        FROM next_user_seqs(ARRAY[p_user_id]) s
        WHERE m.conversation_id = p_conversation_id AND m.user_id = p_user_id;
      RETURN 'changed';
    END $$`
})
