import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/**
 * As in 0016, but the members are locked before the user head of the one who goes, which is the order everywhere: it was
 * a deadlock with his own settings, drafts and marks that change at that moment.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    CREATE OR REPLACE FUNCTION remove_member(p_conversation_id uuid, p_actor_id uuid, p_user_id uuid)
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
      END IF;
      PERFORM FROM conversation_members m
        WHERE m.conversation_id = p_conversation_id AND m.user_id IN (p_user_id, heir)
        ORDER BY m.user_id FOR NO KEY UPDATE;
      IF heir IS NOT NULL THEN
        UPDATE conversation_members m SET role = 'owner'
          WHERE m.conversation_id = p_conversation_id AND m.user_id = heir;
        result.first_seq := add_event(p_conversation_id, 'member.role-changed', p_actor_id, NULL,
          jsonb_build_object('userId', heir, 'role', 'owner'));
      END IF;
      result.last_seq := add_event(p_conversation_id, 'member.left', p_actor_id, NULL,
        jsonb_build_object('userId', p_user_id, 'removed', NOT leaves));
      result.first_seq := COALESCE(result.first_seq, result.last_seq);
      UPDATE conversation_members m SET left_seq = result.last_seq, removed = NOT leaves, user_seq = s.seq
        FROM next_user_seqs(ARRAY[p_user_id]) s
        WHERE m.conversation_id = p_conversation_id AND m.user_id = p_user_id;
      RETURN result;
    END $$`
})
