-- One key for each send: the conversation, the sender and the client_message_id. The index before this one began with
-- conversation_id like the primary key. On empty tables a planner takes the two for equal, and a plan that was kept from
-- then read the whole conversation for each send. This index serves nothing but the key, and has a quarter of the size.
-- IF NOT EXISTS, so that an operator with many messages can create it CONCURRENTLY before the upgrade.
CREATE UNIQUE INDEX IF NOT EXISTS messages_request_key
  ON messages ((md5(conversation_id::text || sender_id::text || client_message_id)::uuid));
DROP INDEX messages_client_message_id;

-- The same holds for the index for pages of members, which has conversation_id and user_id as the primary key has them.
-- Only a query that says joined_seq >= 0 can use it now.
DROP INDEX conversation_members_joined;
CREATE INDEX conversation_members_joined ON conversation_members (conversation_id, joined_seq, user_id)
  WHERE left_seq IS NULL AND joined_seq >= 0;
