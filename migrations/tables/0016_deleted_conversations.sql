-- Set when an operator has deleted the conversation. It has no members then, and the purge deletes its rows.
ALTER TABLE conversations ADD COLUMN deleted_at timestamptz(3);
CREATE INDEX conversations_deleted ON conversations (deleted_at) WHERE deleted_at IS NOT NULL;
