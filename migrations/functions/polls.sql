-- Votes in polls.

-- Whether a time has passed that a client wrote. Releases before 0.2 stored times that do not exist, such as the year 0000:
-- they have passed.
CREATE OR REPLACE FUNCTION has_passed(p_time text) RETURNS boolean LANGUAGE plpgsql STRICT VOLATILE AS $$
BEGIN
  RETURN p_time::timestamptz <= clock_timestamp();
EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN
  RETURN true;
END $$;

-- Replaces the user's vote in a poll by p_options, which is ascending and without duplicates; an empty array takes the
-- vote back. Repeating the current vote is unchanged, also after the poll was closed.
-- The counts change by the difference, which is exact because the head is locked. Outcomes: changed · unchanged ·
-- no-message · not-a-poll · blocked · poll-closed · one-option · no-option.
CREATE OR REPLACE FUNCTION vote(p_conversation_id uuid, p_user_id uuid, p_message_id uuid, p_options int[])
RETURNS changed LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  message record;
  poll record;
  before int[];
  counts int[];
  result changed;
BEGIN
  SELECT * INTO message FROM lock_message(p_conversation_id, p_user_id, p_message_id);
  IF message.seq IS NULL OR message.deleted THEN
    result.outcome := 'no-message';
    RETURN result;
  END IF;
  SELECT m.seq, m.votes, m.payload INTO STRICT poll FROM messages m
    WHERE m.conversation_id = p_conversation_id AND m.seq = message.seq;
  SELECT v.options INTO before FROM poll_votes v
    WHERE v.conversation_id = p_conversation_id AND v.message_seq = poll.seq AND v.user_id = p_user_id;
  result.outcome := CASE
    WHEN message.blocked THEN 'blocked'
    WHEN message.type <> 'poll' THEN 'not-a-poll'
    WHEN COALESCE(before, '{}') = p_options THEN 'unchanged'
    WHEN has_passed(poll.payload ->> 'closesAt') THEN 'poll-closed'
    WHEN cardinality(p_options) > 1 AND (poll.payload ->> 'multiple') IS DISTINCT FROM 'true' THEN 'one-option'
    WHEN p_options[cardinality(p_options)] >= cardinality(poll.votes) THEN 'no-option'
    ELSE 'changed'
  END;
  IF result.outcome <> 'changed' THEN
    RETURN result;
  END IF;
  IF p_options = '{}' THEN
    DELETE FROM poll_votes v
      WHERE v.conversation_id = p_conversation_id AND v.message_seq = poll.seq AND v.user_id = p_user_id;
  ELSE
    INSERT INTO poll_votes (conversation_id, message_seq, user_id, options)
      VALUES (p_conversation_id, poll.seq, p_user_id, p_options)
      ON CONFLICT (conversation_id, message_seq, user_id) DO UPDATE SET options = EXCLUDED.options;
  END IF;
  counts := (SELECT array_agg(v.votes - (v.place - 1 = ANY (COALESCE(before, '{}')))::int
      + (v.place - 1 = ANY (p_options))::int ORDER BY v.place)
    FROM unnest(poll.votes) WITH ORDINALITY AS v(votes, place));
  UPDATE messages m SET votes = counts WHERE m.id = p_message_id;
  result.first_seq := add_event(p_conversation_id, 'poll.voted', p_user_id, poll.seq,
    jsonb_build_object('votes', counts));
  result.last_seq := result.first_seq;
  RETURN result;
END $$;
