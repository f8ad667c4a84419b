-- Approval of runs by a second person. Dry runs are runs with an ordinal of 0 and below, whose tasks are of kind "plan".

-- Who enabled the job last: not the one who approves it.
ALTER TABLE job ADD COLUMN enabled_by {whole};

CREATE TABLE approval (
    id {id},
    job_id {whole} NOT NULL REFERENCES job (id),
    -- the run that waits; a run that is withdrawn is gone, its requests stay as void
    run_id {whole} NOT NULL,
    run_ordinal {whole} NOT NULL,
    -- pending, approved, rejected, void, expired
    state {text} NOT NULL,
    -- the exact texts: what people read, what they sign, and the envelope with the signatures so far
    plan {text} NOT NULL,
    manifest {text} NOT NULL,
    manifest_digest {text} NOT NULL,
    envelope {text} NOT NULL,
    signatures {whole} NOT NULL,
    needed {whole} NOT NULL,
    -- the highest class among its entries, how many entries and machines
    class {whole} NOT NULL,
    entries {whole} NOT NULL,
    machines {whole} NOT NULL,
    -- who enabled, owns or co-authors the job, as a JSON list of keys
    authors {text} NOT NULL,
    requested_by {text} NOT NULL,
    requested_at {time} NOT NULL,
    valid_until {time} NOT NULL,
    decided_by {text} NOT NULL,
    decided_at {time},
    reason {text} NOT NULL
) {strict};
CREATE INDEX approval_run ON approval (run_id, state);
CREATE INDEX approval_state ON approval (state, valid_until);
CREATE INDEX approval_job ON approval (job_id);

-- The proof of each agent, cut from the tree once.
CREATE TABLE approval_target (
    approval_id {whole} NOT NULL REFERENCES approval (id),
    agent_id {uuid} NOT NULL,
    instance_id {uuid} NOT NULL,
    proof {text} NOT NULL,
    PRIMARY KEY (approval_id, agent_id, instance_id)
) {keyed};
