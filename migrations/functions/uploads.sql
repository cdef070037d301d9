-- Resumable uploads, which alone are in the table uploads; a file that comes in one request is not. See
-- services/files/ResumableUploadsSql.ts for what else changes their rows.

-- Begins an upload of p_size bytes, of which nothing has arrived: it ends soon unless something does. Outcomes: begun ·
-- too-many (the user has max_uploads, with those whose parts are not deleted yet) · those of refusal_to_store.
CREATE OR REPLACE FUNCTION begin_upload(
  p_id uuid, p_owner_id uuid, p_size bigint, p_name text, p_metadata text, p_limit bigint, p_total_limit bigint,
  OUT outcome text, OUT expires_at timestamptz
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  outcome := COALESCE(refusal_to_store(p_owner_id, p_id, p_size, p_size, p_limit, p_total_limit), 'begun');
  -- The row of the user is locked now.
  IF outcome = 'begun' AND (SELECT count(*) FROM uploads u WHERE u.owner_id = p_owner_id) >= max_uploads() THEN
    outcome := 'too-many';
  END IF;
  IF outcome <> 'begun' THEN RETURN; END IF;
  INSERT INTO uploads AS u (id, owner_id, size, name, metadata, expires_at)
    VALUES (p_id, p_owner_id, p_size, p_name, p_metadata, clock_timestamp() + unreceived_period())
    RETURNING u.expires_at INTO begin_upload.expires_at;
END $$;
