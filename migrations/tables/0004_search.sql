-- Full-text search. A background task reads the logs and indexes new messages in small steps, because an index on
-- messages itself makes a batch of appends cost the database a third more. A search also scans the messages that are
-- not indexed yet, so that the index can be late but never wrong.

CREATE TABLE message_words (
  conversation_id uuid NOT NULL,
  seq bigint NOT NULL,
  sender_id uuid NOT NULL,
  created_at timestamptz(3) NOT NULL,
  words tsvector NOT NULL,
  PRIMARY KEY (conversation_id, seq)
);
CREATE INDEX message_words_words ON message_words USING gin (words);

-- The log of a conversation is indexed up to seq.
CREATE TABLE search_heads (
  conversation_id uuid PRIMARY KEY,
  seq bigint NOT NULL
) WITH (fillfactor = 50);
