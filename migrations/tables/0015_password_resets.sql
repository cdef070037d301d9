-- The last reset of an account's password that was made and not used. Of its token only the SHA-256 hash is stored.
CREATE TABLE password_resets (
  user_id uuid PRIMARY KEY REFERENCES users (id),
  hash bytea NOT NULL UNIQUE,
  expires_at timestamptz(3) NOT NULL
);
