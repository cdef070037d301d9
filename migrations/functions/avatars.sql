-- Pictures of users and groups. Which one is shown is avatar_url of users and conversations. Rows are locked in the order
-- user or conversation, avatar, user_storage, blob.

-- Begins an upload. Outcomes: those of begin_blob.
CREATE OR REPLACE FUNCTION begin_avatar(
  p_id uuid, p_owner_id uuid, p_conversation_id uuid, p_limit bigint, p_total_limit bigint
) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  outcome text := begin_blob(p_id, p_id, p_owner_id, p_limit, p_total_limit);
BEGIN
  IF outcome = 'begun' THEN
    INSERT INTO avatars (blob_id, owner_id, conversation_id) VALUES (p_id, p_owner_id, p_conversation_id);
  END IF;
  RETURN outcome;
END $$;

-- Completes an upload of p_bytes. Outcomes: those of count_stored.
CREATE OR REPLACE FUNCTION complete_avatar(p_id uuid, p_bytes bigint, p_limit bigint, p_total_limit bigint)
RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  owner uuid;
  outcome text;
BEGIN
  SELECT a.owner_id INTO STRICT owner FROM avatars a WHERE a.blob_id = p_id FOR UPDATE;
  outcome := count_stored(owner, p_id, p_bytes, p_bytes, p_limit, p_total_limit);
  IF outcome <> 'stored' THEN RETURN outcome; END IF;
  UPDATE avatars a SET bytes = p_bytes WHERE a.blob_id = p_id;
  UPDATE blobs b SET size = p_bytes WHERE b.id = p_id;
  RETURN outcome;
END $$;

-- Makes unused_blobs look in a minute whether an avatar is shown. A change that would show it may be under way.
CREATE OR REPLACE FUNCTION release_avatar(p_id uuid) RETURNS void LANGUAGE sql VOLATILE AS $$
  UPDATE blobs b SET check_at = LEAST(b.check_at, clock_timestamp() + interval '1 minute')
    WHERE b.id = p_id AND EXISTS (SELECT FROM avatars a WHERE a.blob_id = b.id)
$$;

-- Deletes an avatar, which no longer counts for its owner. Its blob is looked at after p_wait.
CREATE OR REPLACE FUNCTION drop_avatar(p_id uuid, p_wait interval) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  gone record;
BEGIN
  DELETE FROM avatars a WHERE a.blob_id = p_id RETURNING a.owner_id, a.bytes INTO gone;
  IF NOT FOUND THEN RETURN; END IF;
  UPDATE user_storage s SET bytes = s.bytes - gone.bytes, files = s.files - 1
    WHERE s.user_id = gone.owner_id AND gone.bytes > 0;
  UPDATE blobs b SET check_at = clock_timestamp() + p_wait WHERE b.id = p_id;
END $$;

-- Deletes an avatar that nothing shows.
CREATE OR REPLACE FUNCTION drop_unshown_avatar(p_id uuid) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM drop_avatar(a.blob_id, interval '0') FROM avatars a WHERE a.blob_id = p_id
    AND CASE WHEN a.conversation_id IS NULL
      THEN NOT EXISTS (SELECT FROM users u WHERE u.id = a.owner_id AND u.avatar_url = avatar_path() || p_id)
      ELSE NOT EXISTS (SELECT FROM conversations c WHERE c.id = a.conversation_id AND c.avatar_url = avatar_path() || p_id)
      END;
END $$;

-- The trigger of users and conversations whose avatar_url was that of an upload: drops the old avatar, however it was
-- replaced. Clients that have not learned of the new one can still load the old one for half an hour.
CREATE OR REPLACE FUNCTION avatar_replaced() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM drop_avatar(substr(OLD.avatar_url, length(avatar_path()) + 1)::uuid,
    CASE WHEN NEW.avatar_url IS NULL THEN interval '0' ELSE interval '30 minutes' END);
  RETURN NULL;
END $$;
