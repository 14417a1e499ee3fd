-- migrate:up

-- Every key expires, and one that is revoked is deleted: the audit log tells of it.
ALTER TABLE api_keys DROP COLUMN revoked_at, ALTER COLUMN expires_at SET NOT NULL;

-- migrate:down

ALTER TABLE api_keys ADD COLUMN revoked_at timestamptz, ALTER COLUMN expires_at DROP NOT NULL;
