-- The participants of a thread, who are listed by their latest replies. Only a reply by somebody who has replied before
-- pays for it: its row is no longer updated in place.
CREATE INDEX thread_members_replied ON thread_members (conversation_id, root_seq, last_reply_seq)
  WHERE last_reply_seq IS NOT NULL;
