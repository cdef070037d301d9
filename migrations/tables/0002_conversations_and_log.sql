-- Conversations, their members, and the log of each conversation.

CREATE TABLE conversations (
  id uuid PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('dm', 'group')),
  title text,
  avatar_url text,
  created_by uuid NOT NULL REFERENCES users (id),
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  history_for_new_members text NOT NULL DEFAULT 'from-join' CHECK (history_for_new_members IN ('all', 'from-join')),
  message_lifetime_seconds int
);

-- The columns of a conversation that change with every event. No index covers them and the fillfactor is low, so that
-- the updates stay HOT. Every writer of a conversation locks this row before it locks any other row of it.
CREATE TABLE conversation_heads (
  conversation_id uuid PRIMARY KEY REFERENCES conversations (id),
  -- The seq of the last event in the log.
  seq bigint NOT NULL,
  last_activity_at timestamptz(3) NOT NULL
) WITH (fillfactor = 50);

-- A pair of users has at most one DM, forever. In a DM of a user with themselves user_low equals user_high. The foreign
-- key to conversations is deferred: create_direct() takes the pair first, so that the loser of a race creates nothing.
CREATE TABLE direct_conversations (
  user_low uuid NOT NULL REFERENCES users (id),
  user_high uuid NOT NULL REFERENCES users (id),
  conversation_id uuid NOT NULL UNIQUE REFERENCES conversations (id) DEFERRABLE INITIALLY DEFERRED,
  PRIMARY KEY (user_low, user_high),
  CHECK (user_low <= user_high)
);

-- A member sees the event s when visible_from_seq <= s, and s < left_seq if the member has left.
CREATE TABLE conversation_members (
  conversation_id uuid NOT NULL REFERENCES conversations (id),
  user_id uuid NOT NULL REFERENCES users (id),
  role text NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
  joined_seq bigint NOT NULL,
  visible_from_seq bigint NOT NULL,
  left_seq bigint,
  joined_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  read_seq bigint NOT NULL,
  -- Sending a message moves read_seq alone: the delivered marker is the greater one of the two.
  delivered_seq bigint NOT NULL,
  muted_until timestamptz(3),
  archived boolean NOT NULL DEFAULT false,
  pinned boolean NOT NULL DEFAULT false,
  notify text NOT NULL DEFAULT 'all' CHECK (notify IN ('all', 'mentions', 'none')),
  user_seq bigint NOT NULL DEFAULT 0,
  -- The other member of this DM has blocked this one. It is stored here because the append reads this row anyway.
  blocked boolean NOT NULL DEFAULT false,
  -- This member has rows in hidden_messages. Nearly nobody has, and the flag saves the others the lookup.
  hides boolean NOT NULL DEFAULT false,
  -- Somebody else removed this member, who can return only when a member adds them, not by an invite.
  removed boolean NOT NULL DEFAULT false,
  PRIMARY KEY (conversation_id, user_id)
) WITH (fillfactor = 70);
CREATE INDEX conversation_members_user ON conversation_members (user_id, conversation_id);
-- Counts the members of a conversation from the index alone. It includes user_id for lookups of a single member: in a
-- new database, which has no statistics, the planner may choose any index on conversation_id, and one without user_id
-- would read the whole group.
CREATE INDEX conversation_members_living ON conversation_members (conversation_id, user_id) WHERE left_seq IS NULL;

-- Every event of a log except the creation of a message, which is the message's own row. An event stores references and
-- resulting counts, never message bodies.
CREATE TABLE conversation_events (
  conversation_id uuid NOT NULL REFERENCES conversations (id),
  seq bigint NOT NULL,
  event text NOT NULL,
  actor_id uuid NOT NULL REFERENCES users (id),
  at timestamptz(3) NOT NULL,
  -- The message that the event changed, if there is one.
  message_seq bigint,
  data jsonb NOT NULL,
  PRIMARY KEY (conversation_id, seq)
);

-- Invites to groups. number orders the invites of a group for its pages.
CREATE TABLE invites (
  code text COLLATE "C" PRIMARY KEY,
  number bigint GENERATED ALWAYS AS IDENTITY,
  conversation_id uuid NOT NULL REFERENCES conversations (id),
  created_by uuid NOT NULL REFERENCES users (id),
  created_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  expires_at timestamptz(3),
  max_uses int,
  uses int NOT NULL DEFAULT 0,
  revoked_at timestamptz(3),
  idempotency_key text COLLATE "C",
  request_hash bytea
);
CREATE UNIQUE INDEX invites_conversation ON invites (conversation_id, number);
-- Not unique: after idempotency_window() the same key may stand for another invite.
CREATE INDEX invites_key ON invites (created_by, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- The result of a function that changes a conversation: the outcome ('changed', 'unchanged', or the reason why nothing
-- was done), and the first and the last seq that the change took in the log.
CREATE TYPE changed AS (outcome text, first_seq bigint, last_seq bigint);
