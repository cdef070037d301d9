-- A DM shows only to the users who have opened it, until its first message shows it to the other one.

-- True for a DM of two users without any message so far. The append reads it in the row that it locks anyway.
ALTER TABLE conversation_heads ADD COLUMN empty boolean NOT NULL DEFAULT false;
-- False for the member of an empty DM who has not opened it. The user is a member, but the DM is in no list of the user.
ALTER TABLE conversation_members ADD COLUMN shown boolean NOT NULL DEFAULT true;
-- The user to whom the appended message has shown its DM, if there is one.
ALTER TYPE appended ADD ATTRIBUTE shown_to uuid;

UPDATE conversation_heads h SET empty = true FROM direct_conversations d
  WHERE d.conversation_id = h.conversation_id AND d.user_low <> d.user_high
    AND NOT EXISTS (SELECT FROM messages m WHERE m.conversation_id = h.conversation_id);
UPDATE conversation_members m SET shown = false FROM conversation_heads h, conversations c
  WHERE h.empty AND m.conversation_id = h.conversation_id AND c.id = h.conversation_id AND m.user_id <> c.created_by;
