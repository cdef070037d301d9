-- The messages of deleted users that are still to be erased, by conversation: those after a client_message_id.
CREATE TABLE erasures (
  user_id uuid NOT NULL REFERENCES users (id),
  conversation_id uuid NOT NULL,
  after text COLLATE "C" NOT NULL DEFAULT '',
  PRIMARY KEY (user_id, conversation_id)
);
