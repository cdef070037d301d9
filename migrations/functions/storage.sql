-- What files take up: user_storage counts for each user what the user has uploaded, and storage_total what the store has of
-- all of them, with what was made of it, until it is deleted there. Uploads that are under way count until their parts are
-- deleted: for their user by their whole size, and for all files by what has arrived of them, which is the sum `received` of
-- storage_total. The row of storage_total is locked last.

-- Why there is no room for a file of p_bytes, of which the store would have p_stored: full (the files of the user would have
-- more than p_limit bytes, or be more than most_files) · store-full (all files together would have more than p_total_limit
-- bytes; NULL for no limit) · NULL. The upload p_id, of which the file is made, does not count beside it. Locks the rows of
-- what it counts, so that of two that want the last room one gets it.
CREATE OR REPLACE FUNCTION refusal_to_store(
  p_user_id uuid, p_id uuid, p_bytes bigint, p_stored bigint, p_limit bigint, p_total_limit bigint
) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  used record;
  begun record;
  total bigint;
BEGIN
  INSERT INTO user_storage (user_id, bytes, files) VALUES (p_user_id, 0, 0) ON CONFLICT DO NOTHING;
  SELECT s.bytes, s.files INTO used FROM user_storage s WHERE s.user_id = p_user_id FOR UPDATE;
  -- A statement of its own, since only one that begins after the lock was had sees all that was begun before.
  SELECT COALESCE(sum(u.size), 0) AS bytes, count(*) AS files INTO begun FROM uploads u
    WHERE u.owner_id = p_user_id AND u.id <> p_id;
  IF used.bytes + begun.bytes + p_bytes > p_limit OR used.files + begun.files >= most_files(p_limit) THEN
    RETURN 'full';
  END IF;
  IF p_total_limit IS NULL THEN RETURN NULL; END IF;
  SELECT t.bytes + t.received INTO total FROM storage_total t FOR UPDATE;
  total := total - COALESCE((SELECT u.received FROM uploads u WHERE u.id = p_id), 0);
  RETURN CASE WHEN total + p_stored > p_total_limit THEN 'store-full' END;
END $$;

-- Counts a file that is uploaded: p_bytes for the user, and p_stored in all. Outcomes: stored · those of refusal_to_store.
CREATE OR REPLACE FUNCTION count_stored(
  p_user_id uuid, p_id uuid, p_bytes bigint, p_stored bigint, p_limit bigint, p_total_limit bigint
) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  refusal text := refusal_to_store(p_user_id, p_id, p_bytes, p_stored, p_limit, p_total_limit);
BEGIN
  IF refusal IS NOT NULL THEN RETURN refusal; END IF;
  UPDATE user_storage s SET bytes = s.bytes + p_bytes, files = s.files + 1 WHERE s.user_id = p_user_id;
  UPDATE storage_total t SET bytes = t.bytes + p_stored;
  RETURN 'stored';
END $$;

-- Notes the blob of a file that is about to be uploaded as p_id. Outcomes: begun · those of refusal_to_store. A blob to
-- which nothing refers after unbound_period() is found by unused_blobs.
CREATE OR REPLACE FUNCTION begin_blob(
  p_blob_id uuid, p_id uuid, p_owner_id uuid, p_limit bigint, p_total_limit bigint
) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  -- How large it is, nobody knows yet.
  refusal text := refusal_to_store(p_owner_id, p_id, 1, 1, p_limit, p_total_limit);
BEGIN
  IF refusal IS NOT NULL THEN RETURN refusal; END IF;
  INSERT INTO blobs (id, check_at) VALUES (p_blob_id, clock_timestamp() + unbound_period());
  RETURN 'begun';
END $$;
