-- Set while an operator keeps the user out.
ALTER TABLE users ADD COLUMN disabled_at timestamptz(3);
CREATE INDEX users_disabled ON users (username) WHERE disabled_at IS NOT NULL;
