-- The change feed: which logs have grown, for work that follows the writes, such as the search index. See
-- functions/change_feed.sql.

-- One row for each transaction and conversation: the events first_seq to last_seq of its log. The rows are read in the order
-- of this key, once every transaction that could still write before them has ended. position is the id of the transaction,
-- or a later one, so that the rows of a conversation stand in the order of its log.
CREATE TABLE change_feed (
  position xid8 NOT NULL,
  conversation_id uuid NOT NULL,
  first_seq bigint NOT NULL,
  last_seq bigint NOT NULL,
  PRIMARY KEY (position, conversation_id)
);

-- The position of the last row of each conversation.
ALTER TABLE conversation_heads ADD COLUMN feed_position xid8 NOT NULL DEFAULT '0';

-- How far each consumer has come: the last row that it has done.
CREATE TABLE change_feed_consumers (
  name text PRIMARY KEY,
  position xid8 NOT NULL,
  conversation_id uuid NOT NULL
) WITH (fillfactor = 50);

-- One row: the last row that was purged, and the cluster whose transaction ids the positions are; '' is any cluster.
CREATE TABLE change_feed_state (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  cluster text NOT NULL DEFAULT '',
  position xid8 NOT NULL DEFAULT '0',
  conversation_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
) WITH (fillfactor = 50);
INSERT INTO change_feed_state DEFAULT VALUES;

-- One row: the sweep over all conversations that writes the words of messages which were there before the feed, or which
-- a tokenizer of a version below `tokenizer` has made. It goes on at next_id, and is done when that is null.
CREATE TABLE search_sweep (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  tokenizer int NOT NULL DEFAULT 0,
  next_id uuid
) WITH (fillfactor = 50);
INSERT INTO search_sweep DEFAULT VALUES;
