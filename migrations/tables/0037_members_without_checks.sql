-- Every statement that updates a table prepares its CHECK constraints anew, which took 36 µs of each append that moves the
-- marker of a sender. The functions that write these two columns take their values from Schemas and from each other.
ALTER TABLE conversation_members
  DROP CONSTRAINT conversation_members_role_check,
  DROP CONSTRAINT conversation_members_notify_check;
