-- What people approve includes how the run is rolled out: waves, gates, limits, restarts.

-- the rollout of the plan as JSON, so that a run can be held to it without reading the whole plan; empty = asked for before
-- plans told of it, which no agent takes any more
ALTER TABLE approval ADD COLUMN rollout {text} NOT NULL DEFAULT '';
