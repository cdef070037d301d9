-- Uploads in several requests, which any node may get.

-- An upload that is under way. It becomes the attachment with its id.
CREATE TABLE uploads (
  id uuid PRIMARY KEY,
  owner_id uuid NOT NULL REFERENCES users (id),
  -- How many bytes the file has, and how many of them its parts have so far.
  size bigint NOT NULL,
  received bigint NOT NULL DEFAULT 0,
  name text NOT NULL,
  -- What the client says about the file, as it was sent.
  metadata text NOT NULL,
  -- When it ends by itself, or when it has ended.
  expires_at timestamptz(3) NOT NULL,
  -- The request that adds to it, which holds it until then; null when there is none.
  writer uuid,
  writer_until timestamptz(3)
);
CREATE INDEX uploads_owner ON uploads (owner_id);
CREATE INDEX uploads_expires ON uploads (expires_at);

-- A blob of an upload. It is noted before its first byte is stored, so that whatever a crash leaves is found again.
CREATE TABLE upload_parts (
  blob_id uuid PRIMARY KEY,
  upload_id uuid NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
  -- The place of its first byte in the file; null while it does not count.
  start bigint
);
CREATE INDEX upload_parts_upload ON upload_parts (upload_id);
