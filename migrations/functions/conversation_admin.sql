-- What operators do to conversations.

-- Deletes a conversation and returns its members, or NULL when there is none. What its users have of it is deleted at
-- once, and the rest later, by purge_conversation. The members leave after the last event of the log, so that the log has
-- no event of this. Locks are taken in the order of changes.sql.
CREATE OR REPLACE FUNCTION delete_conversation(p_conversation_id uuid, p_actor text)
RETURNS uuid[] LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  head bigint;
  conversation record;
  everybody uuid[];
  member_ids uuid[];
BEGIN
  SELECT h.seq INTO head FROM conversation_heads h WHERE h.conversation_id = p_conversation_id FOR UPDATE;
  SELECT c.kind, c.deleted_at INTO conversation FROM conversations c WHERE c.id = p_conversation_id;
  IF head IS NULL OR conversation.deleted_at IS NOT NULL THEN RETURN NULL; END IF;
  SELECT COALESCE(array_agg(m.user_id), '{}'), COALESCE(array_agg(m.user_id) FILTER (WHERE m.left_seq IS NULL), '{}')
    INTO everybody, member_ids
    FROM (SELECT * FROM conversation_members x WHERE x.conversation_id = p_conversation_id
      ORDER BY x.user_id FOR NO KEY UPDATE) m;
  UPDATE conversation_members m SET left_seq = head + 1, removed = true, user_seq = s.seq
    FROM next_user_seqs(member_ids) s
    WHERE m.conversation_id = p_conversation_id AND m.user_id = s.user_id;
  DELETE FROM drafts d WHERE d.user_id = ANY (everybody) AND d.conversation_id = p_conversation_id;
  DELETE FROM stars s WHERE s.user_id = ANY (everybody) AND s.conversation_id = p_conversation_id;
  DELETE FROM hidden_messages h WHERE h.user_id = ANY (everybody) AND h.conversation_id = p_conversation_id;
  DELETE FROM scheduled_messages s WHERE s.user_id = ANY (everybody) AND s.conversation_id = p_conversation_id;
  DELETE FROM conversation_keys k WHERE k.conversation_id = p_conversation_id;
  DELETE FROM direct_conversations d WHERE d.conversation_id = p_conversation_id;
  DELETE FROM message_lifetimes l WHERE l.conversation_id = p_conversation_id;
  DELETE FROM invites i WHERE i.conversation_id = p_conversation_id;
  UPDATE conversations c SET deleted_at = clock_timestamp(), title = NULL, avatar_url = NULL
    WHERE c.id = p_conversation_id;
  PERFORM add_audit(p_actor, 'admin.deleteConversation', 'conversation', p_conversation_id::text,
    jsonb_build_object('kind', conversation.kind, 'members', cardinality(member_ids)));
  RETURN member_ids;
END $$;

-- Deletes at most p_limit rows of each table that has rows of the conversation that was deleted first, and the
-- conversation itself once it has no others. Changes that were under way when it was deleted have a minute to end.
-- Returns the largest number of rows that it deleted from one table, or p_limit when it is done with a conversation.
CREATE OR REPLACE FUNCTION purge_conversation(p_limit int) RETURNS int LANGUAGE plpgsql VOLATILE
  SET enable_seqscan = off AS $$
DECLARE
  gone uuid;
  name text;
  most int := 0;
  deleted int;
BEGIN
  SELECT c.id INTO gone FROM conversations c WHERE c.deleted_at < clock_timestamp() - interval '1 minute'
    ORDER BY c.deleted_at LIMIT 1;
  IF gone IS NULL THEN RETURN 0; END IF;
  most := drop_attachments(ARRAY(SELECT a.id FROM attachments a
    WHERE a.conversation_id = gone AND a.message_seq IS NOT NULL ORDER BY a.id LIMIT p_limit));
  FOREACH name IN ARRAY ARRAY['message_words', 'message_revisions', 'message_reactions', 'thread_members', 'mentions',
    'poll_votes', 'messages', 'conversation_events', 'conversation_members'] LOOP
    EXECUTE format('DELETE FROM %1$I WHERE ctid = ANY (ARRAY(
      SELECT x.ctid FROM %1$I x WHERE x.conversation_id = $1 LIMIT $2))', name) USING gone, p_limit;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    most := GREATEST(most, deleted);
  END LOOP;
  IF most > 0 THEN RETURN most; END IF;
  DELETE FROM search_heads h WHERE h.conversation_id = gone;
  DELETE FROM conversation_heads h WHERE h.conversation_id = gone;
  DELETE FROM conversations c WHERE c.id = gone;
  RETURN p_limit;
END $$;
