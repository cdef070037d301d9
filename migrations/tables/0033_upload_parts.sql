-- The size of a part, so that an upload can be seen to have all of them; null while it does not count.
ALTER TABLE upload_parts ADD COLUMN size bigint;

-- Uploads that are under way count from here on: these have other parameters now, and no release had them before.
DROP FUNCTION IF EXISTS refusal_to_store(uuid, bigint, bigint);
DROP FUNCTION IF EXISTS count_stored(uuid, bigint, bigint, bigint, bigint);
DROP FUNCTION IF EXISTS complete_attachment(uuid, bigint, bigint, bytea, json, bigint, bigint);
