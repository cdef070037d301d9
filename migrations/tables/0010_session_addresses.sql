-- For the addresses that a user has signed in from: a login from one of them is not refused because of other addresses.
CREATE INDEX sessions_latest ON sessions (user_id, created_at DESC);
