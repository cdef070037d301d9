-- What a user is: a person with an account, or a bot, which has no password but tokens of its own.
ALTER TABLE users ADD COLUMN kind text NOT NULL DEFAULT 'person';

-- A token with a bot signs in as that bot. It has no scopes.
ALTER TABLE service_tokens ADD COLUMN bot_id uuid REFERENCES users (id);
CREATE INDEX service_tokens_bot ON service_tokens (bot_id) WHERE bot_id IS NOT NULL;
