-- Who may add a user to groups and open direct conversations: everybody, or contacts only. A contact is a user with whom
-- the user shares a conversation in which both have written. Memberships from before this count as if they had.
ALTER TABLE users ADD COLUMN who_may_add_me text NOT NULL DEFAULT 'everybody'
  CHECK (who_may_add_me IN ('everybody', 'contacts'));
-- Since when the account is being closed. Nobody can add its user from then on, for a while.
ALTER TABLE users ADD COLUMN closing_at timestamptz(3);
ALTER TABLE conversation_members ADD COLUMN wrote boolean NOT NULL DEFAULT true;
ALTER TABLE conversation_members ALTER COLUMN wrote SET DEFAULT false;
