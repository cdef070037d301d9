-- Constants that several functions or statements share. The planner replaces a call of these functions by its value.

-- The id that stands for all members among the mentions of a message: see domain/Mentions.ts.
CREATE OR REPLACE FUNCTION mentions_everybody() RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT '00000000-0000-0000-0000-000000000000'::uuid
$$;

-- The part of a message's body that is shown with a reply to it: excerptLength of domain/Message.ts.
CREATE OR REPLACE FUNCTION excerpt(p_body text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT left(p_body, 140)
$$;

-- A retry with the same Idempotency-Key gets the first answer for this long.
CREATE OR REPLACE FUNCTION idempotency_window() RETURNS interval LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT interval '24 hours'
$$;

-- Ended sessions and unused positions of event streams are kept for this long.
CREATE OR REPLACE FUNCTION retention_period() RETURNS interval LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT interval '30 days'
$$;

-- A message can be scheduled at most this far ahead.
CREATE OR REPLACE FUNCTION scheduling_horizon() RETURNS interval LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT interval '1 year'
$$;

-- A message can be edited so often: maxEdits of domain/Message.ts.
CREATE OR REPLACE FUNCTION max_edits() RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT 100
$$;

-- One member can give a message so many reactions: maxReactionsOfMember of domain/Message.ts.
CREATE OR REPLACE FUNCTION max_reactions_of_member() RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT 10
$$;

-- A user whose files may have p_limit bytes can have so many of them: a file takes up room beyond its bytes.
CREATE OR REPLACE FUNCTION most_files(p_limit bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT GREATEST(100, p_limit / 16384)
$$;

-- While an account is being closed, nobody can add its user to anything for this long.
CREATE OR REPLACE FUNCTION closing_period() RETURNS interval LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT interval '15 minutes'
$$;

-- A request that adds to an upload holds it for this long after each of its statements: keepMs of
-- services/files/ResumableUploads.ts.
CREATE OR REPLACE FUNCTION upload_lease() RETURNS interval LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT interval '6 seconds'
$$;

-- A user can have so many uploads under way.
CREATE OR REPLACE FUNCTION max_uploads() RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT 100
$$;

-- An upload of which nothing has arrived ends after this long.
CREATE OR REPLACE FUNCTION unreceived_period() RETURNS interval LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT interval '1 hour'
$$;

-- An attachment that belongs to no message is deleted after this long: unboundPeriod of services/files/Attachments.ts.
CREATE OR REPLACE FUNCTION unbound_period() RETURNS interval LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT interval '24 hours'
$$;

-- The path of an uploaded avatar, without its id: avatarPath of domain/Avatar.ts.
CREATE OR REPLACE FUNCTION avatar_path() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT '/v1/avatars/'
$$;

-- A guest is looked at again after this long.
CREATE OR REPLACE FUNCTION guest_check_interval() RETURNS interval LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT interval '1 hour'
$$;
