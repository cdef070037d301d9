-- Users of different teams do not find each other. A user without a team finds everybody, and is found by everybody.
ALTER TABLE users ADD COLUMN team text COLLATE "C";
CREATE INDEX users_team_username ON users (team, username);
CREATE INDEX users_team_search_name ON users (team, search_name, username);
