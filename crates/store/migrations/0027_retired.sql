-- Agents of which nothing is heard any more: contact is lost, then they are retired by themselves; and when somebody listened at all.

-- since when contact is lost; NULL = it was heard lately
ALTER TABLE agent ADD COLUMN missing_at {time};
-- when it was retired by itself, which is when it was revoked too; a person may take it back. NULL = not, or a person revoked it
ALTER TABLE agent ADD COLUMN retired_at {time};
-- when a person took it back: its silence counts from then
ALTER TABLE agent ADD COLUMN reinstated_at {time};
CREATE INDEX agent_last_seen ON agent (last_seen_at);

-- Spans of time in which a server listened to agents, one row from one pause to the next.
CREATE TABLE listening (
    since {time} NOT NULL PRIMARY KEY,
    until {time} NOT NULL
) {keyed};
-- What is known of the span that is under way.
INSERT INTO listening (since, until) SELECT since, until FROM heartbeat WHERE name = 'dispatch';
