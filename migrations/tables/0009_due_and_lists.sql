-- For the page of a user's blocks.
CREATE INDEX blocks_listed ON blocks (user_id, created_at DESC, blocked_id DESC);

-- For the page of a group's invites. Revoked invites stay in the table.
CREATE INDEX invites_listed ON invites (conversation_id, number DESC) WHERE revoked_at IS NULL;

-- For close_account.
CREATE INDEX event_cursors_user ON event_cursors (user_id);
