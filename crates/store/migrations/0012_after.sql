-- What follows a job: checks of controls, drift, expiry and review, rollbacks that are proposed.

-- when the agent last said something of it, by the agent's own corrected clock; 0 = never
ALTER TABLE control ADD COLUMN heard_at {whole} NOT NULL DEFAULT 0;
-- what the last check found, for people
ALTER TABLE control ADD COLUMN note {text} NOT NULL DEFAULT '';
ALTER TABLE control ADD COLUMN drifted_at {whole};
-- how often it drifted
ALTER TABLE control ADD COLUMN drifts {whole} NOT NULL DEFAULT 0;
-- when the last mail about its drifting was caused
ALTER TABLE control ADD COLUMN told_at {whole};
-- when it was last put back by itself, the first time of the present window, and how often since then
ALTER TABLE control ADD COLUMN put_back_at {whole};
ALTER TABLE control ADD COLUMN put_back_from {whole};
ALTER TABLE control ADD COLUMN put_back_times {whole} NOT NULL DEFAULT 0;
ALTER TABLE control ADD COLUMN expires_at {whole};
-- it has expired: it takes nothing off any more, although it may still be in place
ALTER TABLE control ADD COLUMN expired_at {whole};
-- the job whose word expires_at is
ALTER TABLE control ADD COLUMN expiry_job_id {whole};
CREATE INDEX control_expiry ON control (expires_at);
CREATE INDEX control_drift ON control (drifted_at);

-- How far an agent's reports of checks are taken.
CREATE TABLE agent_check (
    agent_key {whole} NOT NULL PRIMARY KEY REFERENCES agent (id),
    n {whole} NOT NULL,
    why {text} NOT NULL,
    boot_id {text} NOT NULL,
    at {whole} NOT NULL
) {strict};

-- What a job says of the time after it; a job without a row says nothing.
CREATE TABLE job_after (
    job_id {whole} NOT NULL PRIMARY KEY REFERENCES job (id),
    expires_days {whole},
    expires_at {whole},
    -- at expiry the rollback is made and enabled, not only proposed
    roll_back {bool} NOT NULL,
    review_at {whole},
    review_told_at {whole},
    -- somebody looked, at the review that was due
    reviewed_at {whole}
) {strict};
CREATE INDEX job_after_review ON job_after (review_at);

CREATE TABLE proposal (
    id {id},
    asset_id {whole} NOT NULL REFERENCES asset (id),
    control_id {whole} NOT NULL REFERENCES control (id),
    -- fixed or expired
    reason {text} NOT NULL,
    -- the instant that makes this occasion another one than the last: the last item fixed, or the expiry
    basis {whole} NOT NULL,
    detail {text} NOT NULL,
    -- open, accepted, dismissed, obsolete
    state {text} NOT NULL,
    created_at {whole} NOT NULL,
    decided_at {whole},
    decided_by {text} NOT NULL DEFAULT '',
    answer {text} NOT NULL DEFAULT '',
    -- the rollback job that was made of it
    job_id {whole}
) {strict};
CREATE UNIQUE INDEX proposal_occasion ON proposal (control_id, reason, basis);
CREATE INDEX proposal_state ON proposal (state, created_at);
