-- The rollbacks of what expired are ordered for all controls of a job together and followed to their end; a proposal knows
-- whether our own control may be why the scanner says Fixed.

-- expired, and its job takes it back by itself: since then it waits for the rollback that is made for many together
ALTER TABLE control ADD COLUMN rollback_due_at {whole};
-- the rollback job that was ordered then, until it is known how that ended
ALTER TABLE control ADD COLUMN rollback_job_id {whole};
CREATE INDEX control_rollback_due ON control (rollback_due_at);
CREATE INDEX control_rollback_job ON control (rollback_job_id);
CREATE INDEX control_expiry_job ON control (expiry_job_id, expires_at);
-- because of Fixed, and an item was closed only after the control was in force; what was proposed before could not tell
ALTER TABLE proposal ADD COLUMN ours_maybe {bool} NOT NULL DEFAULT TRUE;
CREATE INDEX proposal_control ON proposal (control_id, state);
