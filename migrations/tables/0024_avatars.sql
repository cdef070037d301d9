-- Pictures of users and groups that were uploaded.

-- An avatar that a user or a conversation shows, or that is being uploaded. Its blob has the same id.
CREATE TABLE avatars (
  blob_id uuid PRIMARY KEY REFERENCES blobs (id),
  owner_id uuid NOT NULL REFERENCES users (id),
  -- Whose picture it is; null for that of the owner.
  conversation_id uuid,
  -- What counts for the owner in user_storage: 0 until the upload is complete.
  bytes bigint NOT NULL DEFAULT 0
);

-- functions/avatars.sql has its text.
CREATE FUNCTION avatar_replaced() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;

-- A trigger, because avatar_url is changed by many: profiles, issuers of tokens, servers of apps, closing and deletion.
CREATE TRIGGER user_avatar_replaced AFTER UPDATE OF avatar_url ON users FOR EACH ROW
  WHEN (OLD.avatar_url LIKE '/v1/avatars/%' AND NEW.avatar_url IS DISTINCT FROM OLD.avatar_url)
  EXECUTE FUNCTION avatar_replaced();
CREATE TRIGGER conversation_avatar_replaced AFTER UPDATE OF avatar_url ON conversations FOR EACH ROW
  WHEN (OLD.avatar_url LIKE '/v1/avatars/%' AND NEW.avatar_url IS DISTINCT FROM OLD.avatar_url)
  EXECUTE FUNCTION avatar_replaced();
