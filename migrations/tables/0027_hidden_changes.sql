-- A device that reconnects is told which messages its user has hidden meanwhile.
CREATE INDEX hidden_changed ON hidden_messages (user_id, user_seq);
