-- When an entry is no longer offered for new work, the day after its last; none = without an end, or installed before this column was
-- there. And the CVEs that have to be patched on a host before it may be used there, separated by spaces.
ALTER TABLE catalogue_entry ADD COLUMN offered_until {time};
ALTER TABLE catalogue_entry ADD COLUMN requires_fixed {text} NOT NULL DEFAULT '';
