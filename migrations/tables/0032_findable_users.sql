-- Guests and deleted users are found by nobody, so the searches of users do not walk them. The names are expressions, which
-- nothing else indexes, so that no plan reads the other users' index in their place.
CREATE INDEX users_findable_username ON users ((CASE WHEN deleted_at IS NULL AND kind <> 'guest' THEN username END));
CREATE INDEX users_findable_name ON users (
  (CASE WHEN deleted_at IS NULL AND kind <> 'guest' THEN search_name END), username);
DROP INDEX users_team_username;
DROP INDEX users_team_search_name;
CREATE INDEX users_team_username ON users (
  team, (CASE WHEN deleted_at IS NULL AND kind <> 'guest' THEN username END));
CREATE INDEX users_team_search_name ON users (
  team, (CASE WHEN deleted_at IS NULL AND kind <> 'guest' THEN search_name END), username);
