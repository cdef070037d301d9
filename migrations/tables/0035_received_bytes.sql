-- The bytes that have arrived of all uploads that are under way, as a running sum, so that nothing sums them up under the lock.
ALTER TABLE storage_total ADD COLUMN received bigint NOT NULL DEFAULT 0;
UPDATE storage_total SET received = (SELECT COALESCE(sum(u.received), 0) FROM uploads u);
