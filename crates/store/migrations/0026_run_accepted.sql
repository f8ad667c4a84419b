-- What a person accepts is kept with each task since 0022_gates; the mere number is not read any more.
ALTER TABLE run DROP COLUMN accepted;
