-- The bytes of all blobs together, for the limit. One row: uploads and the cleaning change it, and no change of a message.
CREATE TABLE storage_total (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  bytes bigint NOT NULL
);
INSERT INTO storage_total (bytes) SELECT COALESCE(sum(size), 0) FROM blobs;
