import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/**
 * Messages that disappear. A message lives as long as the setting was when it was sent, which follows from its seq and
 * the setting's history: the append knows nothing of it.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`ALTER TABLE conversations ADD COLUMN message_lifetime_seconds int`

  // A span of a log in which a lifetime was set; through_seq is null for the present one. What is up to done_seq has been
  // dealt with, and nothing more is to be done before next_at: where there is no message left, none that is still to
  // come can end earlier than a lifetime from now.
  yield* sql`
    CREATE TABLE message_lifetimes (
      conversation_id uuid NOT NULL REFERENCES conversations (id),
      from_seq bigint NOT NULL,
      through_seq bigint,
      seconds int NOT NULL,
      done_seq bigint NOT NULL,
      next_at timestamptz(3) NOT NULL,
      PRIMARY KEY (conversation_id, from_seq)
    )`
  yield* sql`CREATE INDEX message_lifetimes_due ON message_lifetimes (next_at)`

  // A step of one conversation: erases at most p_limit messages whose time is over, each in the name of its sender.
  // Nothing when another node is at it, or the conversation busy: it is done later then.
  yield* sql`
    CREATE FUNCTION expire_messages(p_conversation_id uuid, p_limit int)
    RETURNS changed LANGUAGE plpgsql VOLATILE SET enable_seqscan = off AS $$
    DECLARE
      result changed;
      lifetime message_lifetimes;
      message record;
    BEGIN
      result.outcome := 'unchanged';
      PERFORM FROM conversation_heads h WHERE h.conversation_id = p_conversation_id FOR UPDATE SKIP LOCKED;
      IF NOT FOUND THEN RETURN result; END IF;
      SELECT * INTO lifetime FROM message_lifetimes l
        WHERE l.conversation_id = p_conversation_id AND l.next_at <= clock_timestamp() ORDER BY l.from_seq LIMIT 1;
      IF NOT FOUND THEN RETURN result; END IF;
      lifetime.next_at := clock_timestamp() + make_interval(secs => lifetime.seconds);
      FOR message IN
        SELECT m.seq, m.sender_id, m.deleted_at, m.created_at + make_interval(secs => lifetime.seconds) AS ends_at,
          row_number() OVER (ORDER BY m.seq) AS place
        FROM messages m
        WHERE m.conversation_id = p_conversation_id AND m.seq > lifetime.done_seq
          AND m.seq <= COALESCE(lifetime.through_seq, 9223372036854775807)
        ORDER BY m.seq LIMIT p_limit + 1
      LOOP
        lifetime.next_at := message.ends_at;
        EXIT WHEN message.ends_at > clock_timestamp() OR message.place > p_limit;
        lifetime.next_at := clock_timestamp() + make_interval(secs => lifetime.seconds);
        lifetime.done_seq := message.seq;
        IF message.deleted_at IS NULL THEN
          result.outcome := 'changed';
          result.last_seq := erase_message(p_conversation_id, message.sender_id, message.seq);
          result.first_seq := COALESCE(result.first_seq, result.last_seq);
        END IF;
      END LOOP;
      UPDATE message_lifetimes l SET done_seq = lifetime.done_seq, next_at = lifetime.next_at
        WHERE l.conversation_id = p_conversation_id AND l.from_seq = lifetime.from_seq;
      DELETE FROM message_lifetimes l
        WHERE l.conversation_id = p_conversation_id AND l.from_seq = lifetime.from_seq AND NOT EXISTS (
          SELECT FROM messages m WHERE m.conversation_id = p_conversation_id AND m.seq > l.done_seq
            AND m.seq <= l.through_seq)
          AND l.through_seq IS NOT NULL;
      RETURN result;
    END $$`

  // As in 0016, and with messageLifetimeSeconds, which both of a DM may change.
  yield* sql`
    CREATE OR REPLACE FUNCTION update_group(p_conversation_id uuid, p_actor_id uuid, p_change jsonb)
    RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      result changed;
      me record;
      news jsonb;
      lifetime int;
    BEGIN
      SELECT * INTO me FROM lock_member(p_conversation_id, p_actor_id);
      SELECT COALESCE(jsonb_object_agg(e.key, e.value), '{}') INTO news
        FROM conversations c
        CROSS JOIN LATERAL jsonb_each(jsonb_build_object('title', c.title, 'avatarUrl', c.avatar_url,
          'historyForNewMembers', c.history_for_new_members, 'messageLifetimeSeconds', c.message_lifetime_seconds))
          AS old(key, value)
        JOIN jsonb_each(p_change) AS e(key, value) ON e.key = old.key AND e.value <> old.value
        WHERE c.id = p_conversation_id;
      result.outcome := CASE
        WHEN me.role IS NULL THEN 'not-a-member'
        WHEN me.kind <> 'group' AND (p_change = '{}' OR p_change - 'messageLifetimeSeconds' <> '{}') THEN 'not-a-group'
        WHEN me.kind = 'group' AND (me.role = 'member'
          OR (me.role = 'admin' AND p_change ?| '{historyForNewMembers,messageLifetimeSeconds}')) THEN 'forbidden'
        WHEN news = '{}' THEN 'unchanged'
        ELSE 'changed' END;
      IF result.outcome <> 'changed' THEN RETURN result; END IF;
      lifetime := news ->> 'messageLifetimeSeconds';
      UPDATE conversations c SET
          title = CASE WHEN news ? 'title' THEN news ->> 'title' ELSE c.title END,
          avatar_url = CASE WHEN news ? 'avatarUrl' THEN news ->> 'avatarUrl' ELSE c.avatar_url END,
          history_for_new_members = COALESCE(news ->> 'historyForNewMembers', c.history_for_new_members),
          message_lifetime_seconds = CASE WHEN news ? 'messageLifetimeSeconds' THEN lifetime
            ELSE c.message_lifetime_seconds END
        WHERE c.id = p_conversation_id;
      result.first_seq := add_event(p_conversation_id, 'conversation.updated', p_actor_id, NULL, news);
      result.last_seq := result.first_seq;
      IF news ? 'messageLifetimeSeconds' THEN
        UPDATE message_lifetimes l SET through_seq = result.last_seq
          WHERE l.conversation_id = p_conversation_id AND l.through_seq IS NULL;
        IF lifetime IS NOT NULL THEN
          INSERT INTO message_lifetimes (conversation_id, from_seq, seconds, done_seq, next_at)
            VALUES (p_conversation_id, result.last_seq, lifetime, result.last_seq,
              clock_timestamp() + make_interval(secs => lifetime));
        END IF;
      END IF;
      RETURN result;
    END $$`
})
