-- Who may make an account.

-- Lets p_mode hold in place of the setting; NULL lets the setting hold again. With a line in the audit log if that changes
-- anything.
CREATE OR REPLACE FUNCTION choose_registration(p_mode text, p_actor text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  IF p_mode IS NULL THEN
    DELETE FROM registration_choice;
  ELSE
    INSERT INTO registration_choice AS c (mode) VALUES (p_mode)
      ON CONFLICT (only_row) DO UPDATE SET mode = EXCLUDED.mode WHERE c.mode <> EXCLUDED.mode;
  END IF;
  IF NOT FOUND THEN RETURN; END IF;
  PERFORM add_audit(p_actor, 'admin.setRegistration', 'setting', 'auth.registration', jsonb_build_object('mode', p_mode));
END $$;
