-- Hosts that are restarted: one slot for each task, given back when the task ends, never by time: a host that does not come back
-- keeps the others from going the same way.
CREATE TABLE restart_slot (
    task_id {whole} NOT NULL PRIMARY KEY,
    epoch {whole} NOT NULL,
    run_id {whole} NOT NULL,
    -- the group whose place it takes beside the run's; empty without
    apart {text} NOT NULL,
    granted_at {time} NOT NULL,
    -- NULL while it is out
    back_at {time}
) {keyed};
CREATE INDEX restart_slot_run ON restart_slot (run_id, back_at);

-- Hosts that are away: since when somebody listens without a pause, so that nobody is away because the server was.
CREATE TABLE heartbeat (
    name {text} NOT NULL PRIMARY KEY,
    since {time} NOT NULL,
    until {time} NOT NULL
) {keyed};

-- Repeated requests: when somebody began to work on one (its mark), and whether anything was kept of that work.
ALTER TABLE idempotency ADD COLUMN begun_at {time};
ALTER TABLE idempotency ADD COLUMN worked {bool} NOT NULL DEFAULT FALSE;
