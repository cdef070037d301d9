-- The groups of the application that the service belongs to, by the keys that it has for them. Deferred, so that the key can
-- be taken before its group is made: of several who make the same group, one does.
CREATE TABLE conversation_keys (
  key text COLLATE "C" PRIMARY KEY,
  conversation_id uuid NOT NULL UNIQUE REFERENCES conversations (id) DEFERRABLE INITIALLY DEFERRED
);
