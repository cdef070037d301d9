-- Saved messages. A star that was taken back keeps its row, so that the user's other devices learn of it.
CREATE TABLE stars (
  user_id uuid NOT NULL REFERENCES users (id),
  conversation_id uuid NOT NULL,
  message_seq bigint NOT NULL,
  message_id uuid NOT NULL,
  starred boolean NOT NULL,
  -- The user seq of the last change.
  user_seq bigint NOT NULL,
  PRIMARY KEY (user_id, conversation_id, message_seq)
);
CREATE INDEX stars_changed ON stars (user_id, user_seq);
CREATE INDEX stars_listed ON stars (user_id, user_seq) WHERE starred;
