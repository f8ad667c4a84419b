-- What a task that is ready waits for about its approval was the beginning of its message, where words of its host may stand, too.

-- said by the server alone; empty where it waits for nothing
ALTER TABLE task ADD COLUMN waits_for {text} NOT NULL DEFAULT '';
-- The next look at the host's work corrects what a host may have said.
UPDATE task SET waits_for = substr(message, 8), message = '' WHERE state = 'ready' AND message LIKE 'waits: %';

-- Groups are counted by the hosts that are at work since 0025_apart; the group's name is not read any more.
ALTER TABLE permit DROP COLUMN apart;
ALTER TABLE restart_slot DROP COLUMN apart;

-- A rollback that restarts its host names the approval of what it takes back by its manifest.
CREATE INDEX approval_manifest ON approval (manifest_digest);
