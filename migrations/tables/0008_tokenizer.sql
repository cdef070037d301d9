-- The words of messages are those of our own tokenizer, whose version is stored with the index, so that the words of
-- another version are written again. They are of the version `tokenizer` where their place in the log is at most
-- `renewed_seq`; from there to `seq` they may be older. Version 0 is the parser of PostgreSQL, which release 0.1.0 used.
ALTER TABLE search_heads
  ADD COLUMN tokenizer int NOT NULL DEFAULT 0,
  ADD COLUMN renewed_seq bigint NOT NULL DEFAULT 0;
