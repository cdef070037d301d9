-- Guests: users who came by an invite that admits people without an account.
ALTER TABLE invites ADD COLUMN guests boolean NOT NULL DEFAULT false;

-- When to look whether a guest is still there. Null for everybody else.
ALTER TABLE users ADD COLUMN guest_check_at timestamptz(3);
CREATE INDEX users_guest_check ON users (guest_check_at) WHERE guest_check_at IS NOT NULL;

-- A guest is a member until then, when the invite expires; null for a member without such an end.
ALTER TABLE conversation_members ADD COLUMN guest_until timestamptz(3);
CREATE INDEX conversation_members_guest_until ON conversation_members (guest_until) WHERE guest_until IS NOT NULL;
