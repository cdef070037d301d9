-- The key of a send is 128 bits of hashes that cost a tenth of an MD5 and its text, of which each send needs two.
-- An index of this form that an operator has created CONCURRENTLY before the upgrade, under this name, stays.
DO $$
BEGIN
  IF pg_get_indexdef('messages_request_key'::regclass) LIKE '%md5%' THEN
    DROP INDEX messages_request_key;
    CREATE UNIQUE INDEX messages_request_key ON messages (
      hashtextextended(client_message_id, uuid_hash_extended(conversation_id, 0)),
      hashtextextended(client_message_id, uuid_hash_extended(sender_id, 0)));
  END IF;
END $$;
