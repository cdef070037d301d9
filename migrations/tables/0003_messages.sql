-- Messages and everything that belongs to a message.

-- There are no foreign keys on this hot table, because each inserted row would lock two more rows. The append checks
-- the conversation and the sender under the lock of the head, and neither conversations nor users are ever deleted.
CREATE TABLE messages (
  conversation_id uuid NOT NULL,
  seq bigint NOT NULL,
  id uuid NOT NULL,
  sender_id uuid NOT NULL,
  client_message_id text COLLATE "C" NOT NULL,
  -- A hash of the request, so that another message under the same client_message_id is refused.
  request_hash bytea NOT NULL,
  type text NOT NULL,
  body text NOT NULL,
  reply_to_seq bigint,
  thread_root_seq bigint,
  created_at timestamptz(3) NOT NULL,
  edited_at timestamptz(3),
  deleted_at timestamptz(3),
  revision int NOT NULL DEFAULT 1,
  -- The seq of the last event that changed this message.
  changed_seq bigint NOT NULL,
  -- [{emoji, count}] in the order in which the emoji were first given, or null. It is stored with the message so that
  -- reading the log needs no join; message_reactions has the users.
  reactions jsonb,
  pinned_at timestamptz(3),
  pinned_by uuid,
  thread_root_id uuid,
  -- The message is the n-th reply of its thread. Deleted replies count too and keep their places.
  thread_place int,
  thread_reply_count int NOT NULL DEFAULT 0,
  -- The ids of the mentioned users; mentions_everybody() has the id that stands for all members.
  mentions uuid[],
  -- json, not jsonb: clients get it back exactly as it was sent.
  payload json,
  -- The number of votes for each option of a poll.
  votes int[],
  PRIMARY KEY (conversation_id, seq)
);
CREATE UNIQUE INDEX messages_id ON messages (id);
CREATE UNIQUE INDEX messages_client_message_id ON messages (conversation_id, sender_id, client_message_id);
CREATE INDEX messages_pinned ON messages (conversation_id, seq) WHERE pinned_at IS NOT NULL;
CREATE INDEX messages_thread ON messages (conversation_id, thread_root_seq, seq) WHERE thread_root_seq IS NOT NULL;

-- The result of the append for one entry; ord is the place of the entry in its batch, from 1. append.sql lists the
-- outcomes.
CREATE TYPE appended AS (
  ord int,
  outcome text,
  id uuid,
  seq bigint,
  created_at timestamptz(3),
  reply_seq bigint,
  reply_sender_id uuid,
  reply_excerpt text,
  reply_deleted boolean,
  thread_root_id uuid,
  thread_root_seq bigint,
  thread_place int,
  mentions uuid[],
  votes int[]
);

-- The bodies that a message had before its edits. The current body is in messages.
CREATE TABLE message_revisions (
  conversation_id uuid NOT NULL,
  message_seq bigint NOT NULL,
  revision int NOT NULL,
  body text NOT NULL,
  created_at timestamptz(3) NOT NULL,
  PRIMARY KEY (conversation_id, message_seq, revision)
);

CREATE TABLE message_reactions (
  conversation_id uuid NOT NULL,
  message_seq bigint NOT NULL,
  user_id uuid NOT NULL,
  emoji text COLLATE "C" NOT NULL,
  at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (conversation_id, message_seq, user_id, emoji)
);

-- Messages that one user has hidden for themselves.
CREATE TABLE hidden_messages (
  user_id uuid NOT NULL,
  conversation_id uuid NOT NULL,
  message_seq bigint NOT NULL,
  user_seq bigint NOT NULL,
  PRIMARY KEY (user_id, conversation_id, message_seq)
);

-- The users who replied in a thread or marked it as read. last_reply_seq is null for those who have not replied.
CREATE TABLE thread_members (
  conversation_id uuid NOT NULL,
  root_seq bigint NOT NULL,
  user_id uuid NOT NULL,
  read_seq bigint NOT NULL,
  last_reply_seq bigint,
  PRIMARY KEY (conversation_id, root_seq, user_id)
);

-- One row for each mentioned user, or a single row with the id of mentions_everybody(), for counting unread mentions.
-- thread_root_seq is 0 outside of threads.
CREATE TABLE mentions (
  conversation_id uuid NOT NULL,
  user_id uuid NOT NULL,
  thread_root_seq bigint NOT NULL,
  seq bigint NOT NULL,
  PRIMARY KEY (conversation_id, user_id, thread_root_seq, seq)
);

-- options has the indexes of the chosen options, from 0, in ascending order.
CREATE TABLE poll_votes (
  conversation_id uuid NOT NULL,
  message_seq bigint NOT NULL,
  user_id uuid NOT NULL,
  options int[] NOT NULL,
  PRIMARY KEY (conversation_id, message_seq, user_id)
);

-- A cleared draft keeps its row, without a body, so that the user's other devices learn of it.
CREATE TABLE drafts (
  user_id uuid NOT NULL REFERENCES users (id),
  conversation_id uuid NOT NULL REFERENCES conversations (id),
  body text,
  reply_to uuid,
  updated_at timestamptz(3) NOT NULL,
  user_seq bigint NOT NULL,
  PRIMARY KEY (user_id, conversation_id)
);
CREATE INDEX drafts_changed ON drafts (user_id, user_seq);

-- Messages to be sent later. A row exists until its message is sent.
CREATE TABLE scheduled_messages (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users (id),
  conversation_id uuid NOT NULL REFERENCES conversations (id),
  content jsonb NOT NULL,
  send_at timestamptz(3) NOT NULL,
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  key text,
  -- Null until the first attempt to send. From then on the message may already be in the log, so that it can be neither
  -- changed nor cancelled.
  claimed_until timestamptz(3),
  -- The reason why the message was refused, which is final.
  failure jsonb
);
CREATE INDEX scheduled_messages_due ON scheduled_messages (send_at) WHERE failure IS NULL;
CREATE INDEX scheduled_messages_user ON scheduled_messages (user_id, send_at, id);
CREATE UNIQUE INDEX scheduled_messages_key ON scheduled_messages (user_id, key) WHERE key IS NOT NULL;

-- A span of a log in which messages have a lifetime; through_seq is null for the current span. Messages up to done_seq
-- have been dealt with, and the next step is due at next_at. When no message is left, next_at is one lifetime away,
-- because no message that is still to come can end earlier.
CREATE TABLE message_lifetimes (
  conversation_id uuid NOT NULL REFERENCES conversations (id),
  from_seq bigint NOT NULL,
  through_seq bigint,
  seconds int NOT NULL,
  done_seq bigint NOT NULL,
  next_at timestamptz(3) NOT NULL,
  PRIMARY KEY (conversation_id, from_seq)
);
CREATE INDEX message_lifetimes_due ON message_lifetimes (next_at);
