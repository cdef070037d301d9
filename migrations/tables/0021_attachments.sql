-- Files that users upload, and the messages that they belong to.

-- A blob of the store of files, under whose id the store has it. Forwarded messages share a blob.
CREATE TABLE blobs (
  id uuid PRIMARY KEY,
  -- Null until all of it is in the store.
  size bigint,
  sha256 bytea,
  -- When to look whether an attachment refers to the blob; null while nothing can have changed that.
  check_at timestamptz(3)
);
CREATE INDEX blobs_check ON blobs (check_at) WHERE check_at IS NOT NULL;

-- An attachment is deleted with its message.
CREATE TABLE attachments (
  id uuid PRIMARY KEY,
  blob_id uuid NOT NULL REFERENCES blobs (id),
  owner_id uuid NOT NULL REFERENCES users (id),
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  -- What clients get of it: an Attachment, as JSON. Null until the upload is complete.
  data json,
  -- What counts for the owner in user_storage: 0 until the upload is complete, and for the copy of a forwarded message.
  bytes bigint NOT NULL DEFAULT 0,
  -- The message that it is bound to; both are null until that is sent.
  conversation_id uuid,
  message_seq bigint
);
CREATE INDEX attachments_blob ON attachments (blob_id);
CREATE INDEX attachments_message ON attachments (conversation_id, message_seq) WHERE message_seq IS NOT NULL;
CREATE INDEX attachments_unbound ON attachments (owner_id) WHERE message_seq IS NULL;

-- The files that a user has uploaded, for the limit.
CREATE TABLE user_storage (
  user_id uuid PRIMARY KEY REFERENCES users (id),
  bytes bigint NOT NULL,
  files int NOT NULL
);

-- The attachments of a message in their order, as JSON. They are stored with it so that reading the log needs no join, and
-- never change.
ALTER TABLE messages ADD COLUMN attachments json;

-- Where a node keeps files; null for nodes of releases without files.
ALTER TABLE nodes ADD COLUMN files text;
