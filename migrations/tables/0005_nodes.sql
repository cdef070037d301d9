-- The running nodes of the service. Each node refreshes its row, so that a node without a bus notices that other nodes
-- exist.
CREATE TABLE nodes (
  id uuid PRIMARY KEY,
  bus text NOT NULL,
  started_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  seen_at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
  -- The node has lost its bus. The other nodes then read the log more often.
  cut_off boolean NOT NULL DEFAULT false
);
