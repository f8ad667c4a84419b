-- Recurring jobs, maintenance windows, and the whole life of a job.

-- Targets are chosen anew at each run, and a control that drifts is put back.
ALTER TABLE job ADD COLUMN standing {bool} NOT NULL DEFAULT FALSE;
-- Nothing starts until somebody resumes it.
ALTER TABLE job ADD COLUMN paused {bool} NOT NULL DEFAULT FALSE;
-- Some asset and action has code 1 as its last result, as of the end of the last run.
ALTER TABLE job ADD COLUMN failing {bool} NOT NULL DEFAULT FALSE;
-- When the next run of a recurring job is made, and for which civil time of its schedule.
ALTER TABLE job ADD COLUMN next_at {time};
ALTER TABLE job ADD COLUMN next_time {text} NOT NULL DEFAULT '';
CREATE INDEX job_next ON job (next_at);

-- The civil time of the schedule it is for; none for a run that somebody asked for. Unique: two replicas may try.
ALTER TABLE run ADD COLUMN occurrence {text};
CREATE UNIQUE INDEX run_occurrence ON run (job_id, occurrence);
-- enabled, schedule, now, retry
ALTER TABLE run ADD COLUMN cause {text} NOT NULL DEFAULT 'enabled';
-- apply or revert
ALTER TABLE run ADD COLUMN does {text} NOT NULL DEFAULT 'apply';
-- Who asked for it: a user or a part of the server.
ALTER TABLE run ADD COLUMN asked_by {text} NOT NULL DEFAULT '';
-- The first of its tasks became due.
ALTER TABLE run ADD COLUMN begun_at {time};
ALTER TABLE run ADD COLUMN cancelled {bool} NOT NULL DEFAULT FALSE;
-- COMPLETED or COMPLETED_WITH_FAILURES once ended
ALTER TABLE run ADD COLUMN outcome {text} NOT NULL DEFAULT '';
CREATE INDEX run_state ON run (state, id);

-- The end of its window, and the last instant at which it may start to be over by then; none for what stays open.
ALTER TABLE task ADD COLUMN window_end {time};
ALTER TABLE task ADD COLUMN start_by {time};
CREATE INDEX task_start_by ON task (start_by);
