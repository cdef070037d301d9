-- Who may make an account, if an operator has chosen it at run time. Without a row the setting auth.registration holds.
CREATE TABLE registration_choice (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  mode text NOT NULL CHECK (mode IN ('open', 'invite', 'closed'))
);
