-- How runs spread over their assets: waves and what their tasks came to, places for what is limited, permits, halts.

-- JSON of domain::rollout::Policy; empty = the default
ALTER TABLE job ADD COLUMN rollout {text} NOT NULL DEFAULT '';
-- the policy as it was when the run began
ALTER TABLE run ADD COLUMN rollout {text} NOT NULL DEFAULT '';
-- the highest wave that is open, and how many there are
ALTER TABLE run ADD COLUMN wave {whole} NOT NULL DEFAULT 1;
ALTER TABLE run ADD COLUMN waves {whole} NOT NULL DEFAULT 1;
-- every start asks for a permit
ALTER TABLE run ADD COLUMN permits {bool} NOT NULL DEFAULT FALSE;
-- when the results of the open wave became enough; NULL before
ALTER TABLE run ADD COLUMN settled_at {time};
-- failures that a person accepted by letting the run go on
ALTER TABLE run ADD COLUMN accepted {whole} NOT NULL DEFAULT 0;
-- what the gate says, or why the run is halted
ALTER TABLE run ADD COLUMN reason {text} NOT NULL DEFAULT '';
ALTER TABLE run ADD COLUMN halted_at {time};
-- gate, or the user who halted it
ALTER TABLE run ADD COLUMN halted_by {text} NOT NULL DEFAULT '';

ALTER TABLE task ADD COLUMN wave {whole} NOT NULL DEFAULT 1;
-- the order of this epoch needs a permit
ALTER TABLE task ADD COLUMN permit {bool} NOT NULL DEFAULT FALSE;

-- Tasks of a wave by what they count as; the sum over all shards is the count, a single one may be negative.
CREATE TABLE wave_count (
    run_id {whole} NOT NULL,
    wave {whole} NOT NULL,
    shard {whole} NOT NULL,
    waiting {whole} NOT NULL,
    offered {whole} NOT NULL,
    unknown {whole} NOT NULL,
    good {whole} NOT NULL,
    bad {whole} NOT NULL,
    neutral {whole} NOT NULL,
    untried {whole} NOT NULL,
    PRIMARY KEY (run_id, wave, shard)
) {keyed};

INSERT INTO wave_count (run_id, wave, shard, waiting, offered, unknown, good, bad, neutral, untried)
SELECT run_id, 1, 0,
       sum(CASE WHEN state IN ('pending', 'ready') THEN 1 ELSE 0 END),
       sum(CASE WHEN state IN ('offered', 'accepted', 'running') THEN 1 ELSE 0 END),
       sum(CASE WHEN state = 'unknown' THEN 1 ELSE 0 END),
       sum(CASE WHEN state IN ('succeeded', 'unchanged', 'reverted') THEN 1 ELSE 0 END),
       sum(CASE WHEN state IN ('failed', 'verify_failed', 'refused', 'interrupted', 'lost', 'revert_failed',
                               'drifted_since_apply') THEN 1 ELSE 0 END),
       sum(CASE WHEN state = 'not_applicable' THEN 1 ELSE 0 END),
       sum(CASE WHEN state IN ('cancelled', 'expired') THEN 1 ELSE 0 END)
FROM task GROUP BY run_id;

-- How many permits of a run, or of a group of assets, are out: the one row that everybody who grants one has to change.
CREATE TABLE place (
    -- run/1, group/cluster:db1
    scope {text} NOT NULL PRIMARY KEY,
    taken {whole} NOT NULL,
    -- no start before
    next_at {time} NOT NULL,
    -- a halt stands
    closed {bool} NOT NULL
) {keyed};

INSERT INTO place (scope, taken, next_at, closed)
SELECT 'run/' || id, 0, 0, FALSE FROM run WHERE state = 'open';

-- One permit for each (task, epoch), renewed when it is asked for again.
CREATE TABLE permit (
    task_id {whole} NOT NULL,
    epoch {whole} NOT NULL,
    run_id {whole} NOT NULL,
    -- the group whose place it takes beside the run's; empty without
    apart {text} NOT NULL,
    granted_at {time} NOT NULL,
    -- then its places are free again, whatever was heard
    expires_at {time} NOT NULL,
    -- NULL while it is out
    back_at {time},
    PRIMARY KEY (task_id, epoch)
) {keyed};
CREATE INDEX permit_run ON permit (run_id, back_at);
CREATE INDEX permit_out ON permit (back_at, expires_at);
