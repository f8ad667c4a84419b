-- What gates judge beyond numbers of failures: hosts left half undone, hosts that fell silent while they were worked on, hosts that
-- were really changed; and which failures a person has accepted, task by task. run.accepted, their mere number, is no longer used.

-- ended badly and left its host changed, and no person has accepted that since
ALTER TABLE task ADD COLUMN half_done {bool} NOT NULL DEFAULT FALSE;
-- a person let the run go on while this try was failed or unknown
ALTER TABLE task ADD COLUMN accepted {bool} NOT NULL DEFAULT FALSE;

-- of the good: the host was changed
ALTER TABLE wave_count ADD COLUMN changed {whole} NOT NULL DEFAULT 0;
-- of the bad: half done, not accepted
ALTER TABLE wave_count ADD COLUMN half_done {whole} NOT NULL DEFAULT 0;
-- of the unknown: begun, not accepted
ALTER TABLE wave_count ADD COLUMN silent {whole} NOT NULL DEFAULT 0;
-- of the bad and of the unknown: accepted
ALTER TABLE wave_count ADD COLUMN accepted_bad {whole} NOT NULL DEFAULT 0;
ALTER TABLE wave_count ADD COLUMN accepted_unknown {whole} NOT NULL DEFAULT 0;

-- As many as were accepted, the oldest first: which ones they were was not kept.
UPDATE task SET accepted = TRUE WHERE id IN (
    SELECT f.id FROM (
        SELECT t.id AS id, r.accepted AS accepted,
               row_number() OVER (PARTITION BY t.run_id ORDER BY t.updated_at, t.id) AS place
        FROM task t JOIN run r ON r.id = t.run_id
        WHERE r.accepted > 0
          AND t.state IN ('unknown', 'failed', 'verify_failed', 'refused', 'interrupted', 'lost', 'revert_failed',
                          'drifted_since_apply')
    ) AS f WHERE f.place <= f.accepted);
UPDATE task SET half_done = TRUE
WHERE NOT accepted
  AND (state = 'revert_failed'
       OR (state IN ('failed', 'verify_failed', 'drifted_since_apply') AND report LIKE '%"left_changed":true%'));

UPDATE wave_count SET changed = d.changed, half_done = d.half_done, silent = d.silent, accepted_bad = d.accepted_bad,
    accepted_unknown = d.accepted_unknown
FROM (
    SELECT run_id, wave,
           sum(CASE WHEN state IN ('succeeded', 'reverted') THEN 1 ELSE 0 END) AS changed,
           sum(CASE WHEN half_done THEN 1 ELSE 0 END) AS half_done,
           sum(CASE WHEN state = 'unknown' AND started_at IS NOT NULL AND NOT accepted THEN 1 ELSE 0 END) AS silent,
           sum(CASE WHEN state <> 'unknown' AND accepted THEN 1 ELSE 0 END) AS accepted_bad,
           sum(CASE WHEN state = 'unknown' AND accepted THEN 1 ELSE 0 END) AS accepted_unknown
    FROM task GROUP BY run_id, wave
) AS d WHERE wave_count.run_id = d.run_id AND wave_count.wave = d.wave AND wave_count.shard = 0;
