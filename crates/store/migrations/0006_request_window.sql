-- Which of the 64 request numbers up to request_seq an agent used, as bits (domain::window). What an agent sent before
-- this column counts as used.
ALTER TABLE agent ADD COLUMN request_used {whole} NOT NULL DEFAULT -1;
