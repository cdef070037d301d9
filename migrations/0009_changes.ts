import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/**
 * What every durable change but a plain append is made of: one call of a VOLATILE function per operation, which
 * 1. locks the conversation's head and reads the actor's living membership (lock_member): no row, nothing done;
 * 2. checks, each statement seeing afresh after the lock;
 * 3. writes, and gives the change its place in the log (add_event);
 * 4. takes the user seqs of those whose own state changed (next_user_seqs) and stamps their rows.
 * Locks are taken in the order head, members by user id, user_heads by user id. The result has at least the columns of
 * `changed`: the outcome ("changed", "unchanged" or why not), and the seqs that it took.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`CREATE TYPE changed AS (outcome text, first_seq bigint, last_seq bigint)`

  yield* sql`
    CREATE FUNCTION lock_member(p_conversation_id uuid, p_user_id uuid)
    RETURNS TABLE (kind text, role text, visible_from_seq bigint) LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
      PERFORM FROM conversation_heads h WHERE h.conversation_id = p_conversation_id FOR UPDATE;
      RETURN QUERY SELECT c.kind, m.role, m.visible_from_seq
        FROM conversation_members m JOIN conversations c ON c.id = m.conversation_id
        WHERE m.conversation_id = p_conversation_id AND m.user_id = p_user_id AND m.left_seq IS NULL;
    END $$`

  // The id of the message at a seq. Looked for in order, which one index alone has: for an equality a plan that was made
  // while the table was empty, and is kept, may take any index of the conversation and read all of it.
  yield* sql`
    CREATE FUNCTION message_at(p_conversation_id uuid, p_seq bigint) RETURNS uuid LANGUAGE plpgsql STABLE AS $$
    BEGIN
      RETURN (SELECT first.id FROM (SELECT m.id, m.seq FROM messages m
        WHERE m.conversation_id = p_conversation_id AND m.seq >= p_seq ORDER BY m.seq LIMIT 1) first
        WHERE first.seq = p_seq);
    END $$`

  // Under the head's lock. p_message_seq: the message that it changes, whose id and seq become part of the data. The
  // data are references and resulting counts, never bodies: those are read as they are when the log is read.
  yield* sql`
    CREATE FUNCTION add_event(p_conversation_id uuid, p_event text, p_actor_id uuid, p_message_seq bigint, p_data jsonb)
    RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
    DECLARE
      taken bigint;
      changed_id uuid;
    BEGIN
      UPDATE conversation_heads h SET seq = h.seq + 1 WHERE h.conversation_id = p_conversation_id
        RETURNING h.seq INTO STRICT taken;
      IF p_message_seq IS NOT NULL THEN
        UPDATE messages m SET changed_seq = taken WHERE m.id = message_at(p_conversation_id, p_message_seq)
          RETURNING m.id INTO STRICT changed_id;
        p_data := p_data || jsonb_build_object('messageId', changed_id, 'messageSeq', p_message_seq);
      END IF;
      INSERT INTO conversation_events (conversation_id, seq, event, actor_id, at, message_seq, data)
        VALUES (p_conversation_id, taken, p_event, p_actor_id, clock_timestamp(), p_message_seq, p_data);
      RETURN taken;
    END $$`

  // The next user seq of each, for changes of their own state. One call a transaction, after all members are locked.
  yield* sql`
    CREATE FUNCTION next_user_seqs(p_user_ids uuid[]) RETURNS TABLE (user_id uuid, seq bigint)
    LANGUAGE sql VOLATILE AS $$
      INSERT INTO user_heads AS u (user_id, seq) SELECT DISTINCT id, 1 FROM unnest(p_user_ids) AS id ORDER BY id
        ON CONFLICT (user_id) DO UPDATE SET seq = u.seq + 1
        RETURNING u.user_id, u.seq
    $$`

  // What a message shows of its reactions and pin, kept with it: whoever reads the log pays for neither. `reactions` is
  // [{emoji, count}] in the order in which they were first given, or null; who gave them is in message_reactions.
  yield* sql`
    ALTER TABLE messages ADD COLUMN reactions jsonb, ADD COLUMN pinned_at timestamptz(3), ADD COLUMN pinned_by uuid`
  yield* sql`
    CREATE TABLE message_reactions (
      conversation_id uuid NOT NULL,
      message_seq bigint NOT NULL,
      user_id uuid NOT NULL,
      emoji text COLLATE "C" NOT NULL,
      at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
      PRIMARY KEY (conversation_id, message_seq, user_id, emoji)
    )`
})
