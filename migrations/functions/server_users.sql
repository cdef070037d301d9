-- The users of the application that the service belongs to.

-- Makes or changes users, in the order of their subjects, so that two calls cannot wait for each other. An object of
-- p_users has subject, id and usernames as for provision_user, the kind of a new user, and of displayName, searchName,
-- avatarUrl, email and team those that are given. Each user who is made or changed has a line in the audit log. Outcomes:
-- those of provision_user.
CREATE OR REPLACE FUNCTION upsert_external_users(p_issuer text, p_users jsonb, p_actor text, p_at timestamptz)
RETURNS TABLE (place int, outcome text, user_id uuid) LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  wanted jsonb;
BEGIN
  FOR wanted, place IN
    SELECT e.value, e.ordinality::int FROM jsonb_array_elements(p_users) WITH ORDINALITY e
    ORDER BY (e.value ->> 'subject') COLLATE "C"
  LOOP
    SELECT p.outcome, p.user_id INTO outcome, user_id
      FROM provision_user(p_issuer, wanted ->> 'subject', (wanted ->> 'id')::uuid,
        ARRAY(SELECT jsonb_array_elements_text(wanted -> 'usernames')), wanted ->> 'displayName',
        wanted ->> 'searchName', wanted ->> 'avatarUrl', wanted ->> 'email', wanted ->> 'team', p_at, p_at, true, false) p;
    IF outcome = 'created' THEN
      UPDATE users u SET kind = wanted ->> 'kind' WHERE u.id = upsert_external_users.user_id AND u.kind <> wanted ->> 'kind';
    ELSE
      UPDATE users u SET display_name = COALESCE(wanted ->> 'displayName', u.display_name),
          search_name = COALESCE(wanted ->> 'searchName', u.search_name),
          avatar_url = CASE WHEN wanted ? 'avatarUrl' THEN wanted ->> 'avatarUrl' ELSE u.avatar_url END,
          email = COALESCE(wanted ->> 'email', u.email),
          team = CASE WHEN wanted ? 'team' THEN wanted ->> 'team' ELSE u.team END
        WHERE u.id = upsert_external_users.user_id
          AND (u.display_name <> COALESCE(wanted ->> 'displayName', u.display_name)
            OR u.email <> COALESCE(wanted ->> 'email', u.email)
            OR (wanted ? 'team' AND u.team IS DISTINCT FROM wanted ->> 'team')
            OR (wanted ? 'avatarUrl' AND u.avatar_url IS DISTINCT FROM wanted ->> 'avatarUrl'));
      IF FOUND THEN outcome := 'updated'; END IF;
    END IF;
    IF outcome IN ('created', 'updated') THEN
      PERFORM add_audit(p_actor, 'server.upsertUser', 'user', user_id::text,
        jsonb_build_object('externalId', wanted ->> 'subject', 'created', outcome = 'created'));
    END IF;
    RETURN NEXT;
  END LOOP;
END $$;
