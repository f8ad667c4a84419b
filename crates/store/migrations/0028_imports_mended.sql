-- Tags are told per host, and an asset has those of all its hosts: two hosts of one instance that are one asset took each
-- other's away. asset_tag stays what everything else reads.
CREATE TABLE source_host_tag (
    source_host_id {whole} NOT NULL REFERENCES source_host (id),
    tag {text} NOT NULL,
    PRIMARY KEY (source_host_id, tag)
) {keyed};
INSERT INTO source_host_tag (source_host_id, tag)
SELECT h.id, t.tag FROM source_host h JOIN asset_tag t ON t.asset_id = h.asset_id AND t.origin = h.instance_id;
-- Whose tags those of a shared asset are is not known: its hosts count as changed when they are told of next.
UPDATE source_host SET digest = CAST('' AS {bytes})
WHERE EXISTS (SELECT 1 FROM source_host o WHERE o.asset_id = source_host.asset_id
                  AND o.instance_id = source_host.instance_id AND o.id <> source_host.id);
