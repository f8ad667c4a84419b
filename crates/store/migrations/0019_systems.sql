-- For which operating systems an entry is meant: the conditions as the entry writes them, JSON; empty = any of its platform, or
-- installed before this column was there.
ALTER TABLE catalogue_entry ADD COLUMN systems {text} NOT NULL DEFAULT '';
