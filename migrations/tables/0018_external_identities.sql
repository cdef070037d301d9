-- Users of other systems: a user as an issuer of tokens names them. The issuer '' is the namespace of the server API when
-- the service trusts no issuer.
CREATE TABLE external_identities (
  issuer text COLLATE "C" NOT NULL,
  subject text COLLATE "C" NOT NULL,
  -- Deferred, so that the identity can be inserted before its user: see provision_user.
  user_id uuid NOT NULL REFERENCES users (id) DEFERRABLE INITIALLY DEFERRED,
  -- When the token was issued whose claims the profile has.
  profile_at timestamptz(3) NOT NULL,
  -- Tokens that were issued before are refused. Set when all sessions of the user are ended.
  valid_from timestamptz(3),
  -- Set when the account was closed. Until the purge deletes the row, tokens from before make no new user.
  closed_at timestamptz(3),
  PRIMARY KEY (issuer, subject)
);
CREATE INDEX external_identities_user ON external_identities (user_id);
CREATE INDEX external_identities_closed ON external_identities (closed_at) WHERE closed_at IS NOT NULL;
