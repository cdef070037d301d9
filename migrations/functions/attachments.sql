-- Attachments: their upload, their binding to a message, and what is left of them. Rows are locked in the order head of a
-- conversation, attachments by id, the upload that becomes one, user_storage, blobs.

-- Begins an upload. Outcomes: those of begin_blob.
CREATE OR REPLACE FUNCTION begin_attachment(
  p_id uuid, p_blob_id uuid, p_owner_id uuid, p_limit bigint, p_total_limit bigint
) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  outcome text := begin_blob(p_blob_id, p_id, p_owner_id, p_limit, p_total_limit);
BEGIN
  IF outcome = 'begun' THEN
    INSERT INTO attachments (id, blob_id, owner_id) VALUES (p_id, p_blob_id, p_owner_id);
  END IF;
  RETURN outcome;
END $$;

-- Completes an upload of p_size bytes, of which the store has p_stored with the thumbnails. Outcomes: those of count_stored ·
-- gone (the account has been closed meanwhile, the resumable upload that it completes has ended, or another request completes
-- that into a blob of its own). That upload has ended when it is stored.
CREATE OR REPLACE FUNCTION complete_attachment(
  p_id uuid, p_blob_id uuid, p_size bigint, p_stored bigint, p_sha256 bytea, p_data json, p_limit bigint,
  p_total_limit bigint
) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  owner uuid;
  ended boolean;
  outcome text;
BEGIN
  SELECT a.owner_id INTO owner FROM attachments a
    WHERE a.id = p_id AND a.blob_id = p_blob_id AND a.data IS NULL FOR UPDATE;
  IF NOT FOUND THEN RETURN 'gone'; END IF;
  -- Locked, so that whoever ends it either comes before the file, or finds it and deletes it.
  SELECT u.expires_at <= clock_timestamp() INTO ended FROM uploads u WHERE u.id = p_id FOR UPDATE;
  IF ended THEN RETURN 'gone'; END IF;
  outcome := count_stored(owner, p_id, p_size, p_stored, p_limit, p_total_limit);
  IF outcome <> 'stored' THEN RETURN outcome; END IF;
  UPDATE attachments a SET data = p_data, bytes = p_size WHERE a.id = p_id;
  UPDATE blobs b SET size = p_stored, sha256 = p_sha256 WHERE b.id = p_blob_id;
  UPDATE uploads u SET expires_at = date_trunc('milliseconds', clock_timestamp()) WHERE u.id = p_id;
  RETURN outcome;
END $$;

-- Binds attachments to the message that is being appended: those of the sender that are complete and bound to none, or
-- with p_sources, which a forwarded message has, copies of those. False when one of them cannot be had, and then nothing
-- was written. p_attachments has the new ones in order, as clients get them. The caller holds the lock of the head.
CREATE OR REPLACE FUNCTION bind_attachments(
  p_conversation_id uuid, p_seq bigint, p_sender_id uuid, p_attachments json, p_sources json
) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  ids uuid[] := ARRAY(SELECT (x ->> 'id')::uuid FROM json_array_elements(p_attachments) x);
  sources uuid[] := ARRAY(SELECT x::uuid FROM json_array_elements_text(p_sources) x);
  found_ones int;
BEGIN
  IF p_sources IS NULL THEN
    PERFORM FROM attachments a WHERE a.id = ANY (ids) AND a.owner_id = p_sender_id AND a.message_seq IS NULL
      AND a.data IS NOT NULL ORDER BY a.id FOR UPDATE;
    GET DIAGNOSTICS found_ones = ROW_COUNT;
    IF found_ones <> cardinality(ids) THEN RETURN false; END IF;
    UPDATE attachments a SET conversation_id = p_conversation_id, message_seq = p_seq WHERE a.id = ANY (ids);
    RETURN true;
  END IF;
  -- Locked, so that the blob cannot lose its last attachment before it has the new one.
  PERFORM FROM attachments a WHERE a.id = ANY (sources) AND a.message_seq IS NOT NULL ORDER BY a.id FOR SHARE;
  GET DIAGNOSTICS found_ones = ROW_COUNT;
  IF found_ones <> cardinality(sources) THEN RETURN false; END IF;
  INSERT INTO attachments (id, blob_id, owner_id, data, conversation_id, message_seq)
    SELECT (new.data ->> 'id')::uuid, a.blob_id, p_sender_id, new.data, p_conversation_id, p_seq
    FROM ROWS FROM (json_array_elements(p_attachments), unnest(sources)) AS new(data, source)
    JOIN attachments a ON a.id = new.source;
  RETURN true;
END $$;

-- Deletes attachments, and returns how many it deleted. Their blobs are looked at soon. A blob that was counted for one of
-- them and has other attachments is counted for the first of these from now on, since it stays.
CREATE OR REPLACE FUNCTION drop_attachments(p_ids uuid[]) RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  dropped int;
BEGIN
  IF cardinality(p_ids) = 0 THEN RETURN 0; END IF;
  WITH gone AS (
    DELETE FROM attachments a WHERE a.id = ANY (p_ids) RETURNING a.blob_id, a.owner_id, a.bytes
  ), heirs AS (
    UPDATE attachments a SET bytes = h.bytes
    FROM (SELECT DISTINCT ON (x.blob_id) o.id, x.bytes FROM gone x JOIN attachments o ON o.blob_id = x.blob_id
      WHERE x.bytes > 0 AND o.id <> ALL (p_ids) ORDER BY x.blob_id, o.id) h
    WHERE a.id = h.id RETURNING a.owner_id, h.bytes
  ), counted AS (
    INSERT INTO user_storage AS s (user_id, bytes, files)
      SELECT c.owner_id, sum(c.bytes), sum(c.files) FROM (
        SELECT h.owner_id, h.bytes, 1 AS files FROM heirs h
        UNION ALL SELECT x.owner_id, -x.bytes, -1 FROM gone x WHERE x.bytes > 0
      ) c GROUP BY c.owner_id ORDER BY c.owner_id
      ON CONFLICT (user_id) DO UPDATE SET bytes = s.bytes + EXCLUDED.bytes, files = s.files + EXCLUDED.files
  ), marked AS (
    UPDATE blobs b SET check_at = clock_timestamp() FROM (SELECT DISTINCT x.blob_id FROM gone x) g WHERE b.id = g.blob_id
  )
  SELECT count(*) INTO dropped FROM gone;
  RETURN dropped;
END $$;

-- Deletes the attachments of a message. The caller holds the lock of the head.
CREATE OR REPLACE FUNCTION drop_attachments_of(p_conversation_id uuid, p_seq bigint) RETURNS int
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RETURN drop_attachments(ARRAY(SELECT a.id FROM attachments a
    WHERE a.conversation_id = p_conversation_id AND a.message_seq = p_seq ORDER BY a.id));
END $$;

-- Deletes the attachments of a user that are bound to no message, of all blobs or of one, and for at least p_age.
CREATE OR REPLACE FUNCTION drop_unbound(p_owner_id uuid, p_blob_id uuid, p_age interval) RETURNS int
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  -- The lock makes it wait for a message that is being appended, and look again.
  RETURN drop_attachments(ARRAY(SELECT a.id FROM attachments a WHERE a.owner_id = p_owner_id AND a.message_seq IS NULL
    AND (p_blob_id IS NULL OR a.blob_id = p_blob_id) AND a.created_at <= clock_timestamp() - p_age
    ORDER BY a.id FOR UPDATE));
END $$;

-- Finds at most p_limit blobs that no attachment and no avatar refers to any more, and returns their ids, to be deleted from
-- the store. They are returned again after a few minutes, unless forget_blobs has deleted them here too.
CREATE OR REPLACE FUNCTION unused_blobs(p_limit int) RETURNS SETOF uuid LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  blob uuid;
  unbound record;
BEGIN
  FOR blob IN SELECT b.id FROM blobs b WHERE b.check_at <= (SELECT clock_timestamp()) ORDER BY b.check_at LIMIT p_limit
    FOR UPDATE SKIP LOCKED
  LOOP
    FOR unbound IN SELECT DISTINCT a.owner_id FROM attachments a WHERE a.blob_id = blob AND a.message_seq IS NULL LOOP
      PERFORM drop_unbound(unbound.owner_id, blob, unbound_period());
    END LOOP;
    PERFORM drop_unshown_avatar(blob);
    IF NOT EXISTS (SELECT FROM attachments a WHERE a.blob_id = blob)
      AND NOT EXISTS (SELECT FROM avatars a WHERE a.blob_id = blob) THEN
      UPDATE blobs b SET check_at = clock_timestamp() + interval '5 minutes' WHERE b.id = blob;
      RETURN NEXT blob;
    ELSE
      UPDATE blobs b SET check_at = (SELECT min(a.created_at) + unbound_period() FROM attachments a
        WHERE a.blob_id = blob AND a.message_seq IS NULL) WHERE b.id = blob;
    END IF;
  END LOOP;
END $$;

-- Forgets blobs that unused_blobs has returned and that are deleted from the store.
CREATE OR REPLACE FUNCTION forget_blobs(p_ids uuid[]) RETURNS void LANGUAGE sql VOLATILE AS $$
  WITH gone AS (
    DELETE FROM blobs b WHERE b.id = ANY (p_ids) AND NOT EXISTS (SELECT FROM attachments a WHERE a.blob_id = b.id)
      AND NOT EXISTS (SELECT FROM avatars a WHERE a.blob_id = b.id)
    RETURNING b.size
  )
  UPDATE storage_total t SET bytes = t.bytes - g.size FROM (SELECT sum(size) AS size FROM gone) g WHERE g.size > 0
$$;
