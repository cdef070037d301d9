-- Pages of a thread are ranges of thread_place, which is dense, so that a range with both bounds has at most as many
-- rows as it is wide. The order is the same as that of seq, so statements of the previous release, which ask for a range
-- of seq in a thread, find its replies by the first two columns.
CREATE INDEX messages_thread_place ON messages (conversation_id, thread_root_seq, thread_place)
  WHERE thread_root_seq IS NOT NULL;
DROP INDEX messages_thread;

-- For pages of the members of a group.
CREATE INDEX conversation_members_joined ON conversation_members (conversation_id, joined_seq, user_id)
  WHERE left_seq IS NULL;
