-- What files take up: user_storage counts for each user what the user has uploaded, and storage_total what the store has of
-- all of them, with what was made of it, until it is deleted there. The row of storage_total is locked last.

-- Why the user cannot begin an upload: full (the files of the user have p_limit bytes, or are most_files) · store-full (all files together have
-- p_total_limit bytes; NULL for no limit) · NULL.
CREATE OR REPLACE FUNCTION refusal_to_store(p_user_id uuid, p_limit bigint, p_total_limit bigint)
RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE
    WHEN EXISTS (SELECT FROM user_storage s WHERE s.user_id = p_user_id AND (s.bytes >= p_limit OR s.files >= most_files(p_limit))) THEN 'full'
    WHEN EXISTS (SELECT FROM storage_total t WHERE t.bytes >= p_total_limit) THEN 'store-full'
    END
$$;

-- Counts an upload: p_bytes for the user, and p_stored in all. Outcomes: stored · full · store-full, as above.
CREATE OR REPLACE FUNCTION count_stored(
  p_user_id uuid, p_bytes bigint, p_stored bigint, p_limit bigint, p_total_limit bigint
) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  INSERT INTO user_storage AS s (user_id, bytes, files) SELECT p_user_id, p_bytes, 1 WHERE p_bytes <= p_limit
    ON CONFLICT (user_id) DO UPDATE SET bytes = s.bytes + p_bytes, files = s.files + 1 WHERE s.bytes + p_bytes <= p_limit AND s.files < most_files(p_limit);
  IF NOT FOUND THEN RETURN 'full'; END IF;
  UPDATE storage_total t SET bytes = t.bytes + p_stored WHERE p_total_limit IS NULL OR t.bytes + p_stored <= p_total_limit;
  IF FOUND THEN RETURN 'stored'; END IF;
  UPDATE user_storage s SET bytes = s.bytes - p_bytes, files = s.files - 1 WHERE s.user_id = p_user_id;
  RETURN 'store-full';
END $$;
