-- What free-standing jobs choose, and what a tag is beside its name.

CREATE TABLE tag (
    name {text} NOT NULL PRIMARY KEY,
    -- name of the tag it stands below; null at the top
    parent {text},
    -- 1 to 5; null says nothing of the assets that carry it
    criticality {whole},
    updated_at {whole} NOT NULL
) {keyed};
CREATE INDEX tag_parent ON tag (parent);

-- asset.criticality is what counts: set by hand, else the highest of its tags, else what was there before
ALTER TABLE asset ADD COLUMN criticality_own {whole};
ALTER TABLE asset ADD COLUMN criticality_base {whole};

-- what a free-standing job chooses, as JSON; empty for a job made from eliminations
ALTER TABLE job ADD COLUMN plan {text} NOT NULL DEFAULT '';
-- who chose it last: later runs reach no further than his scope and the owner's
ALTER TABLE job ADD COLUMN planned_by {whole};
-- the draft that was made for the other platform at the same time
ALTER TABLE job ADD COLUMN twin {whole};
