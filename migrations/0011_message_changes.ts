import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/**
 * What people do with messages that are there: edit, delete, react, pin, hide. Each function is one durable change as
 * migration 0009 describes it, but hide_message, which changes only the user's own state and so takes no head.
 *
 * Outcomes: changed · unchanged · no-message (also for who is no member) · forbidden · blocked (in a DM, as for a new
 * message: what it says now would be heard too) · too-late · deleted · blank · too-many-reactions.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // What a message said before its edits; what it says now stands in `messages`.
  yield* sql`
    CREATE TABLE message_revisions (
      conversation_id uuid NOT NULL,
      message_seq bigint NOT NULL,
      revision int NOT NULL,
      body text NOT NULL,
      created_at timestamptz(3) NOT NULL,
      PRIMARY KEY (conversation_id, message_seq, revision)
    )`

  yield* sql`CREATE INDEX messages_pinned ON messages (conversation_id, seq) WHERE pinned_at IS NOT NULL`

  // Messages that are hidden for one user alone. Nearly nobody hides any: `hides` spares the others the look.
  yield* sql`
    CREATE TABLE hidden_messages (
      user_id uuid NOT NULL,
      conversation_id uuid NOT NULL,
      message_seq bigint NOT NULL,
      user_seq bigint NOT NULL,
      PRIMARY KEY (user_id, conversation_id, message_seq)
    )`
  yield* sql`ALTER TABLE conversation_members ADD COLUMN hides boolean NOT NULL DEFAULT false`

  // Locks the head and gives the message as the actor may see it, with the actor's place; no row when he may not.
  // The OFFSET 0 leaves the planner the one index on the id, as in append_message.
  yield* sql`
    CREATE FUNCTION lock_message(p_conversation_id uuid, p_actor_id uuid, p_message_id uuid)
    RETURNS TABLE (
      kind text, role text, seq bigint, sender_id uuid, type text, body text, written_at timestamptz, sent_at timestamptz,
      revision int, deleted boolean, pinned boolean, reactions jsonb, blocked boolean
    ) LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      me record;
    BEGIN
      SELECT * INTO me FROM lock_member(p_conversation_id, p_actor_id);
      IF NOT FOUND THEN RETURN; END IF;
      RETURN QUERY SELECT me.kind, me.role, m.seq, m.sender_id, m.type, m.body, COALESCE(m.edited_at, m.created_at),
          m.created_at, m.revision, m.deleted_at IS NOT NULL, m.pinned_at IS NOT NULL, m.reactions,
          (SELECT a.blocked FROM conversation_members a
            WHERE a.conversation_id = p_conversation_id AND a.user_id = p_actor_id)
        FROM (SELECT * FROM messages WHERE messages.id = p_message_id OFFSET 0) m
        WHERE m.conversation_id = p_conversation_id AND m.seq >= me.visible_from_seq;
    END $$`

  // The mentions are those of the new body (migration 0012). p_window_ms: for how long after it was sent; 0 is for ever. The same body again is no change, and never too late.
  yield* sql`
    CREATE FUNCTION edit_message(
      p_conversation_id uuid, p_actor_id uuid, p_message_id uuid, p_body text, p_is_blank boolean, p_names json,
      p_window_ms bigint
    ) RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      message record;
      result changed;
    BEGIN
      SELECT * INTO message FROM lock_message(p_conversation_id, p_actor_id, p_message_id);
      result.outcome := CASE
        WHEN message.seq IS NULL THEN 'no-message'
        WHEN message.sender_id <> p_actor_id THEN 'forbidden'
        WHEN message.deleted THEN 'deleted'
        WHEN message.type = 'text' AND p_is_blank THEN 'blank'
        WHEN message.body = p_body THEN 'unchanged'
        WHEN message.blocked THEN 'blocked'
        WHEN p_window_ms > 0 AND clock_timestamp() > message.sent_at + p_window_ms * interval '1 millisecond'
          THEN 'too-late'
        ELSE 'changed' END;
      IF result.outcome <> 'changed' THEN RETURN result; END IF;
      INSERT INTO message_revisions (conversation_id, message_seq, revision, body, created_at)
        VALUES (p_conversation_id, message.seq, message.revision, message.body, message.written_at);
      UPDATE messages m SET body = p_body, edited_at = clock_timestamp(), revision = m.revision + 1
        WHERE m.id = p_message_id;
      PERFORM set_mentions(p_conversation_id, message.seq, resolve_mentions(p_conversation_id, p_actor_id, p_names));
      result.first_seq := add_event(p_conversation_id, 'message.edited', p_actor_id, message.seq, '{}');
      result.last_seq := result.first_seq;
      RETURN result;
    END $$`

  // What was said, also before, is gone with its reactions and its pin; the row stays, so that a retry of its send still
  // gives the original. Under the head's lock; answers with the seq of the event.
  yield* sql`
    CREATE FUNCTION erase_message(p_conversation_id uuid, p_actor_id uuid, p_seq bigint)
    RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
      DELETE FROM message_revisions r WHERE r.conversation_id = p_conversation_id AND r.message_seq = p_seq;
      DELETE FROM message_reactions r WHERE r.conversation_id = p_conversation_id AND r.message_seq = p_seq;
      DELETE FROM poll_votes v WHERE v.conversation_id = p_conversation_id AND v.message_seq = p_seq;
      PERFORM set_mentions(p_conversation_id, p_seq, NULL);
      UPDATE messages m SET body = '', payload = NULL, votes = NULL, deleted_at = clock_timestamp(),
          reactions = NULL, pinned_at = NULL, pinned_by = NULL
        WHERE m.id = message_at(p_conversation_id, p_seq);
      RETURN add_event(p_conversation_id, 'message.deleted', p_actor_id, p_seq, '{}');
    END $$`

  // One's own; in a group an owner anybody's, and an admin those of who is neither owner nor admin now.
  yield* sql`
    CREATE FUNCTION delete_message(p_conversation_id uuid, p_actor_id uuid, p_message_id uuid)
    RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      message record;
      result changed;
    BEGIN
      SELECT * INTO message FROM lock_message(p_conversation_id, p_actor_id, p_message_id);
      result.outcome := CASE
        WHEN message.seq IS NULL THEN 'no-message'
        WHEN message.sender_id <> p_actor_id AND NOT (message.kind = 'group' AND (message.role = 'owner'
          OR (message.role = 'admin' AND NOT EXISTS (
            SELECT FROM conversation_members m WHERE m.conversation_id = p_conversation_id
              AND m.user_id = message.sender_id AND m.left_seq IS NULL AND m.role <> 'member')))) THEN 'forbidden'
        WHEN message.deleted THEN 'unchanged'
        ELSE 'changed' END;
      IF result.outcome <> 'changed' THEN RETURN result; END IF;
      result.first_seq := erase_message(p_conversation_id, p_actor_id, message.seq);
      result.last_seq := result.first_seq;
      RETURN result;
    END $$`

  // p_max: how many different emoji a message may have.
  yield* sql`
    CREATE FUNCTION add_reaction(
      p_conversation_id uuid, p_actor_id uuid, p_message_id uuid, p_emoji text, p_max int
    ) RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      message record;
      known record;
      result changed;
    BEGIN
      SELECT * INTO message FROM lock_message(p_conversation_id, p_actor_id, p_message_id);
      SELECT r.ord::int - 1 AS place, (r.value ->> 'count')::int AS count INTO known
        FROM jsonb_array_elements(message.reactions) WITH ORDINALITY AS r(value, ord)
        WHERE r.value ->> 'emoji' = p_emoji;
      result.outcome := CASE
        WHEN message.seq IS NULL THEN 'no-message'
        WHEN message.deleted THEN 'deleted'
        WHEN message.blocked THEN 'blocked'
        WHEN known.place IS NULL AND jsonb_array_length(message.reactions) >= p_max THEN 'too-many-reactions'
        ELSE 'changed' END;
      IF result.outcome <> 'changed' THEN RETURN result; END IF;
      INSERT INTO message_reactions (conversation_id, message_seq, user_id, emoji)
        VALUES (p_conversation_id, message.seq, p_actor_id, p_emoji) ON CONFLICT DO NOTHING;
      IF NOT FOUND THEN
        result.outcome := 'unchanged';
        RETURN result;
      END IF;
      UPDATE messages m SET reactions = CASE WHEN known.place IS NULL
          THEN COALESCE(m.reactions, '[]') || jsonb_build_object('emoji', p_emoji, 'count', 1)
          ELSE jsonb_set(m.reactions, ARRAY[known.place::text, 'count'], to_jsonb(known.count + 1)) END
        WHERE m.id = p_message_id;
      result.first_seq := add_event(p_conversation_id, 'reaction.added', p_actor_id, message.seq,
        jsonb_build_object('emoji', p_emoji, 'userId', p_actor_id, 'count', COALESCE(known.count, 0) + 1));
      result.last_seq := result.first_seq;
      RETURN result;
    END $$`

  yield* sql`
    CREATE FUNCTION remove_reaction(p_conversation_id uuid, p_actor_id uuid, p_message_id uuid, p_emoji text)
    RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      message record;
      known record;
      result changed;
    BEGIN
      SELECT * INTO message FROM lock_message(p_conversation_id, p_actor_id, p_message_id);
      IF message.seq IS NULL THEN
        result.outcome := 'no-message';
        RETURN result;
      END IF;
      DELETE FROM message_reactions r WHERE r.conversation_id = p_conversation_id AND r.message_seq = message.seq
        AND r.user_id = p_actor_id AND r.emoji = p_emoji;
      IF NOT FOUND THEN
        result.outcome := 'unchanged';
        RETURN result;
      END IF;
      SELECT r.ord::int - 1 AS place, (r.value ->> 'count')::int - 1 AS count INTO STRICT known
        FROM jsonb_array_elements(message.reactions) WITH ORDINALITY AS r(value, ord)
        WHERE r.value ->> 'emoji' = p_emoji;
      UPDATE messages m SET reactions = CASE WHEN known.count = 0
          THEN NULLIF(m.reactions - known.place, '[]')
          ELSE jsonb_set(m.reactions, ARRAY[known.place::text, 'count'], to_jsonb(known.count)) END
        WHERE m.id = p_message_id;
      result.outcome := 'changed';
      result.first_seq := add_event(p_conversation_id, 'reaction.removed', p_actor_id, message.seq,
        jsonb_build_object('emoji', p_emoji, 'userId', p_actor_id, 'count', known.count));
      result.last_seq := result.first_seq;
      RETURN result;
    END $$`

  // Both may in a DM, owners and admins in a group.
  yield* sql`
    CREATE FUNCTION pin_message(p_conversation_id uuid, p_actor_id uuid, p_message_id uuid, p_pinned boolean)
    RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      message record;
      result changed;
    BEGIN
      SELECT * INTO message FROM lock_message(p_conversation_id, p_actor_id, p_message_id);
      result.outcome := CASE
        WHEN message.seq IS NULL THEN 'no-message'
        WHEN message.kind = 'group' AND message.role = 'member' THEN 'forbidden'
        WHEN message.pinned = p_pinned THEN 'unchanged'
        WHEN message.deleted THEN 'deleted'
        ELSE 'changed' END;
      IF result.outcome <> 'changed' THEN RETURN result; END IF;
      UPDATE messages m SET pinned_at = CASE WHEN p_pinned THEN clock_timestamp() END,
          pinned_by = CASE WHEN p_pinned THEN p_actor_id END
        WHERE m.id = p_message_id;
      result.first_seq := add_event(p_conversation_id,
        CASE WHEN p_pinned THEN 'message.pinned' ELSE 'message.unpinned' END, p_actor_id, message.seq, '{}');
      result.last_seq := result.first_seq;
      RETURN result;
    END $$`

  // No seqs: nobody else hears of it. It changes what is unread, and so one's own side of the conversation.
  yield* sql`
    CREATE FUNCTION hide_message(p_conversation_id uuid, p_actor_id uuid, p_message_id uuid)
    RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      visible bigint;
      hidden bigint;
      taken bigint;
      result changed;
    BEGIN
      SELECT m.visible_from_seq INTO visible FROM conversation_members m
        WHERE m.conversation_id = p_conversation_id AND m.user_id = p_actor_id AND m.left_seq IS NULL
        FOR NO KEY UPDATE;
      SELECT m.seq INTO hidden FROM (SELECT * FROM messages WHERE messages.id = p_message_id OFFSET 0) m
        WHERE m.conversation_id = p_conversation_id AND m.seq >= visible;
      result.outcome := CASE
        WHEN hidden IS NULL THEN 'no-message'
        WHEN EXISTS (SELECT FROM hidden_messages h WHERE h.user_id = p_actor_id
          AND h.conversation_id = p_conversation_id AND h.message_seq = hidden) THEN 'unchanged'
        ELSE 'changed' END;
      IF result.outcome <> 'changed' THEN RETURN result; END IF;
      SELECT u.seq INTO STRICT taken FROM next_user_seqs(ARRAY[p_actor_id]) u;
      INSERT INTO hidden_messages (user_id, conversation_id, message_seq, user_seq)
        VALUES (p_actor_id, p_conversation_id, hidden, taken);
      UPDATE conversation_members m SET hides = true, user_seq = taken
        WHERE m.conversation_id = p_conversation_id AND m.user_id = p_actor_id;
      RETURN result;
    END $$`
})
