-- A page of a conversation, its last message and what is unread in it jump over a run of messages that they do not show,
-- by one look-up here instead of a read of the run. Each message outside of threads is in one of the two: a deletion moves
-- it from the first to the second. Only a statement that has the same expression can use them. With columns, or with a
-- predicate like thread_root_seq IS NULL, planners without statistics take them for the primary key, or read them whole.
-- IF NOT EXISTS, so that an operator with many messages can create them CONCURRENTLY before the upgrade.
CREATE INDEX IF NOT EXISTS messages_live
  ON messages ((CASE WHEN thread_root_seq IS NULL AND deleted_at IS NULL THEN conversation_id END), seq)
  WHERE CASE WHEN thread_root_seq IS NULL AND deleted_at IS NULL THEN conversation_id END IS NOT NULL;
CREATE INDEX IF NOT EXISTS messages_deleted
  ON messages ((CASE WHEN thread_root_seq IS NULL AND deleted_at IS NOT NULL THEN conversation_id END), seq)
  WHERE CASE WHEN thread_root_seq IS NULL AND deleted_at IS NOT NULL THEN conversation_id END IS NOT NULL;
