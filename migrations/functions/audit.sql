-- The audit log.

-- Adds a line to the audit log, in the transaction of the act that it is about. p_detail holds no secrets.
CREATE OR REPLACE FUNCTION add_audit(p_actor text, p_act text, p_target_kind text, p_target_id text, p_detail jsonb)
RETURNS void LANGUAGE sql VOLATILE AS $$
  INSERT INTO audit_log (actor, act, target_kind, target_id, detail)
    VALUES (p_actor, p_act, p_target_kind, p_target_id, p_detail)
$$;
