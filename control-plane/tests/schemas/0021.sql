-- A database of schema 0021, as the program left it: that of 0020, with what would have been refused of a key that was in shadow.
BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO "_sqlx_migrations" VALUES(1,'initial','2026-11-24 01:52:09',1,X'5DADF5684D83BCB99B1960DBD3493477F797DCD4D92E5D02CFCDA0D06251BA649181765F14E003A8133B5399D55DBB95',4668927);
INSERT INTO "_sqlx_migrations" VALUES(2,'people','2026-11-24 01:52:09',1,X'5E5FDAE56BD528F0610F00325EBD622A3124E206AA060AEF4812CB06292D434C791C493F1AA64154DF444CCA30A43209',4138076);
INSERT INTO "_sqlx_migrations" VALUES(3,'gateways','2026-11-26 13:21:06',1,X'E2FA2794CFDA083FA47801C85E01572AF1F0E8E96E5F9065DD1388F68ED8A37CAC03CDB866269DEDBC995BF7E83458BA',11060245);
INSERT INTO "_sqlx_migrations" VALUES(4,'bounds','2026-11-26 14:35:25',1,X'65DC86E693A00BC82867D0D59E10E310874D74C151F11D0C530B921334A5B2FFD6806F44FD8A62D2B50E119EC6534F69',4454089);
INSERT INTO "_sqlx_migrations" VALUES(5,'search','2026-11-26 16:13:26',1,X'5750B626418D4340255C14244A536DD5FB45017A47A1B9F484880BAAFE08811356AA5B04B33F65F228552FACD9318CED',35167989);
INSERT INTO "_sqlx_migrations" VALUES(6,'ceiling','2026-11-26 17:10:19',1,X'6AF5043718D25F98633E32B0CE27472F61737077D4915C5A6EDD10649D5A5FEA8E2254D133DF91915AF497C4FFE6A27B',11532368);
INSERT INTO "_sqlx_migrations" VALUES(7,'audit target','2026-11-30 18:59:31',1,X'342D8C23DB68D25D10B0F89A5B7EC77AF7201DE6301156EEA48C3503B678AF996F17E31E2DEE30440DA765AB8EC95FF2',5517552);
INSERT INTO "_sqlx_migrations" VALUES(9,'replicas','2026-11-30 22:00:00',1,X'7DF2176B6F5D0AA5C71C284FCA57D36D74EA5709573B97B0E1F31D1C956D427DB86C4E38585BB26D6CE5BE515A501E8D',4000000);
INSERT INTO "_sqlx_migrations" VALUES(10,'usage','2026-11-30 22:00:00',1,X'2143C7DB72C8A1A15ADD105A9E126B570B601668466979EB912BB104B3A99FBCFAD7D5050D996336C6EDE76B069DADC1',4000000);
INSERT INTO "_sqlx_migrations" VALUES(11,'operators','2026-12-01 03:18:03',1,X'294D89F6411F66B2123E02B379ACFBCD1F6A582F97A7404356D9524CA9D1B58F07A446E6F23E94ABFEAE6D6261FA0A8F',1998988);
INSERT INTO "_sqlx_migrations" VALUES(12,'idle keys','2026-12-01 03:18:03',1,X'DC6E40589C3227E802963488FE0847FBB2D6B5A58AD4008F184ACA0D0D8E6364AF7473847D32AE539BD5B3E648F1BC55',1643600);
INSERT INTO "_sqlx_migrations" VALUES(13,'console','2026-12-01 03:18:03',1,X'BAF33DB1E14E5A39E4CFB5C4DE39B75DCB320285B04DA3E8C72742958DC8CAF61B1088355377D1ECB5B974E5A48F40CF',1708947);
INSERT INTO "_sqlx_migrations" VALUES(14,'subjects','2026-12-01 03:18:03',1,X'BA8C41B4C5EE526524C2D76B45E7A4ACC83A6AF5BBB13A503CDFE55FA36BBFDC409C5D26DA8A284861D31AD2E3BD3C11',1180583);
INSERT INTO "_sqlx_migrations" VALUES(15,'key pages','2026-12-01 03:18:03',1,X'0BB8EBE2720750E78EBE822AD8C8D0A1A522C7748BBF5D94E10C100F88BFD7A20496197859C59BE8C90C00AC37397915',1443763);
INSERT INTO "_sqlx_migrations" VALUES(16,'lending','2026-12-01 07:00:50',1,X'7543A17851A2CF066846C2F1F11ADF50E8322688B7DCE737C04CFAE48BDD7A33BC8B9CE7F77B0B656B33881C461FC5CE',2148930);
INSERT INTO "_sqlx_migrations" VALUES(17,'restrictions','2026-12-01 07:00:50',1,X'3D48CBFE9DB3C5A9BE51556A80C7A376324A86ABC1875D6E42557D9F143C12F727951809E69F65503220F03389CEAA5D',2349218);
INSERT INTO "_sqlx_migrations" VALUES(18,'plans','2026-12-01 07:00:50',1,X'15496EC0446B4ED49095A728A894F9FC6B7707D5F27B74A1E10DE251DE2B2324DA0A90C856B57FD99A3EB761BC1E282F',1844328);
INSERT INTO "_sqlx_migrations" VALUES(20,'second factors','2026-12-01 07:00:50',1,X'EBD39A4201E6F225A8D997886709A76BCDED86CE97A505CC7B1F1B0E06A36069F45AB9DD59F36D4122B7650C9CCCDF3B',460564);
INSERT INTO "_sqlx_migrations" VALUES(21,'shadow','2026-12-01 10:55:07',1,X'EC5A8FC836C23EC923206B2BE4BDD92A1C8CFD7870A0E86AFD492BD7F56AE6AE3D44BEACE54DC1A5C4FFC53D85A5300B',36919235);
CREATE TABLE api_keys (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT    NOT NULL UNIQUE,
    hash          BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    workspace_seq INTEGER NOT NULL REFERENCES workspaces (seq),
    environment   TEXT    NOT NULL CHECK (environment IN ('live', 'test')),
    name          TEXT    NOT NULL,
    hint          TEXT    NOT NULL,
    limits        TEXT,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER,
    revoked_at    INTEGER,
    rotated_from  TEXT,
    rotated_to    TEXT,
    listed        INTEGER NOT NULL DEFAULT 1 CHECK (listed IN (0, 1)),
    revision      INTEGER, created_by TEXT, folded TEXT, note TEXT, restrictions TEXT, plan TEXT REFERENCES plans (name), shadow INTEGER NOT NULL DEFAULT 0 CHECK (shadow IN (0, 1)),
    CHECK (revision IS NOT NULL OR listed = 0),
    CHECK (revoked_at IS NULL OR listed = 0)
) STRICT;
INSERT INTO "api_keys" VALUES(1,'key_w4dlOaacZPJ1k8vJglWy',X'9AD660BE9ADF83616E519C86D3340E66948F685FA35473E8DE4F2C55908C7EDC',1,'live','Production App','sk_live_…YT43',NULL,1795485129143,NULL,1795485129274,NULL,'key_jUclwq6rRMhwFt3pp8ls',0,4,'admin token','production app
sk_live_...yt43
key_w4dloaaczpj1k8vjglwy',NULL,NULL,NULL,0);
INSERT INTO "api_keys" VALUES(2,'key_1543aVUDbmMAYiJge0jL',X'58583CA46069287B021A1EE204E4FEB63B1D66FADCC433996291501E596EB7E0',1,'test','Straße nach Ärgern','sk_test_…u7Xk','[{"name":"slow","scope":"key","requests":100,"window_seconds":60}]',1795485129267,4949085129,NULL,NULL,NULL,1,12,'admin token','strasse nach ärgern
sk_test_...u7xk
key_1543avudbmmayijge0jl',NULL,NULL,NULL,0);
INSERT INTO "api_keys" VALUES(3,'key_jUclwq6rRMhwFt3pp8ls',X'6A79263F819FD310C0616EE47B1834CCF08202C061CFCE3433CD45829BEBED2A',1,'live','Production App','sk_live_…kHBK',NULL,1795485129274,NULL,NULL,'key_w4dlOaacZPJ1k8vJglWy',NULL,1,8,'admin token','production app
sk_live_...khbk
key_juclwq6rrmhwft3pp8ls','from schema 0015',NULL,NULL,0);
CREATE TABLE audit_log (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    at            INTEGER NOT NULL,
    workspace_seq INTEGER REFERENCES workspaces (seq), -- NULL for what belongs to no workspace
    actor_kind    TEXT    NOT NULL CHECK (actor_kind IN ('user', 'admin_token')),
    actor_id      TEXT,
    actor         TEXT    NOT NULL,
    via           TEXT    NOT NULL CHECK (via IN ('page', 'api', 'cli')),
    address       TEXT,
    action        TEXT    NOT NULL,
    target_id     TEXT,
    target        TEXT    NOT NULL,
    details       TEXT    NOT NULL                -- JSON object
) STRICT;
INSERT INTO "audit_log" VALUES(1,1795485129135,1,'admin_token',NULL,'admin token','cli','127.0.0.1','workspace.created','ws_jbUfKJMGSvbbM3FX2EpZ','Demo','{"default_limits":["default=100/60s+20"],"slug":"demo"}');
INSERT INTO "audit_log" VALUES(2,1795485129143,1,'admin_token',NULL,'admin token','cli','127.0.0.1','api_key.created','key_w4dlOaacZPJ1k8vJglWy','Production App','{"environment":"live","expires_at":null,"key":"sk_live_…YT43","limits":null}');
INSERT INTO "audit_log" VALUES(3,1795485129267,1,'admin_token',NULL,'admin token','cli','127.0.0.1','api_key.created','key_1543aVUDbmMAYiJge0jL','CI','{"environment":"test","expires_at":"2126-10-31T01:52:09Z","key":"sk_test_…u7Xk","limits":["default=100/60s"]}');
INSERT INTO "audit_log" VALUES(4,1795485129274,1,'admin_token',NULL,'admin token','cli','127.0.0.1','api_key.rotated','key_w4dlOaacZPJ1k8vJglWy','Production App','{"grace_seconds":0,"key":"sk_live_…YT43","new_id":"key_jUclwq6rRMhwFt3pp8ls","new_key":"sk_live_…kHBK"}');
INSERT INTO "audit_log" VALUES(5,1795485129283,1,'admin_token',NULL,'admin token','cli','127.0.0.1','user.added','usr_Cx22vJylrpI3PMn8KxYT','ada@example.com','{"new":true,"role":"owner"}');
INSERT INTO "audit_log" VALUES(6,1795699268323,NULL,'admin_token',NULL,'admin token','cli','127.0.0.1','gateway_credential.added','gwc_aEkxPeLAWMth3J8qlU','eu','{}');
INSERT INTO "audit_log" VALUES(7,1795703725583,1,'admin_token',NULL,'admin token','api','127.0.0.1','workspace.updated','ws_jbUfKJMGSvbbM3FX2EpZ','Demo','{"ceiling":"ceiling=1000/60s+1000","default_limits":["default=100/60s+20"],"max_active_keys":10,"slug":"demo","workspace_limits":["shared=5000/3600s@workspace"]}');
INSERT INTO "audit_log" VALUES(8,1795703725588,1,'admin_token',NULL,'admin token','api','127.0.0.1','user.operator_made','usr_Cx22vJylrpI3PMn8KxYT','ada@example.com','{}');
INSERT INTO "audit_log" VALUES(9,1795709607172,1,'admin_token',NULL,'admin token','api','127.0.0.1','api_key.renamed','key_1543aVUDbmMAYiJge0jL','Straße nach Ärgern','{"before":"CI","key":"sk_test_…u7Xk"}');
INSERT INTO "audit_log" VALUES(10,1795713019831,1,'admin_token',NULL,'admin token','api','127.0.0.1','api_key.updated','key_1543aVUDbmMAYiJge0jL','Straße nach Ärgern','{"environment":"test","expires_at":"2126-10-31T01:52:09Z","key":"sk_test_…u7Xk","limits":["slow=100/60s"]}');
INSERT INTO "audit_log" VALUES(11,1796065171674,1,'admin_token',NULL,'admin token','cli','127.0.0.1','workspace.updated','ws_jbUfKJMGSvbbM3FX2EpZ','Demo','{"before":{"max_active_keys":10},"ceiling":"ceiling=1000/60s+1000","default_limits":["default=100/60s+20"],"max_active_keys":7,"slug":"demo","workspace_limits":["shared=5000/3600s@workspace"]}');
INSERT INTO "audit_log" VALUES(12,1796095087983,1,'admin_token',NULL,'admin token','cli','127.0.0.1','token.created','opt_cridiS9WFcKfPsazIS','dump-owner','{"role":"owner","expires_at":null}');
INSERT INTO "audit_log" VALUES(13,1796095087995,NULL,'admin_token',NULL,'admin token','cli','127.0.0.1','token.created','opt_CFsE0ij5xvOZc8c6ph','dump-all','{"role":null,"expires_at":null}');
INSERT INTO "audit_log" VALUES(14,1796095088102,1,'admin_token',NULL,'admin token','cli','127.0.0.1','api_key.updated','key_jUclwq6rRMhwFt3pp8ls','Production App','{"key":"sk_live_…kHBK","environment":"live","expires_at":null,"limits":null,"before":{"note":null},"note":"from schema 0015"}');
INSERT INTO "audit_log" VALUES(15,1796108450956,NULL,'admin_token',NULL,'admin token','api','127.0.0.1','plan.created','free','free','{"limits":["default=100/60s"],"restrictions":null,"scope":"key"}');
INSERT INTO "audit_log" VALUES(16,1796122510183,1,'admin_token',NULL,'admin token','cli','127.0.0.1','api_key.shadow_begun','key_1543aVUDbmMAYiJge0jL','Straße nach Ärgern','{"key":"sk_test_…u7Xk"}');
INSERT INTO "audit_log" VALUES(17,1796122819476,1,'admin_token',NULL,'admin token','cli','127.0.0.1','api_key.shadow_ended','key_1543aVUDbmMAYiJge0jL','Straße nach Ärgern','{"key":"sk_test_…u7Xk"}');
CREATE TABLE gateway_credentials (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL UNIQUE,
    hash       BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at INTEGER NOT NULL,
    created_by TEXT    NOT NULL,
    revoked_at INTEGER
) STRICT;
INSERT INTO "gateway_credentials" VALUES(1,'gwc_aEkxPeLAWMth3J8qlU','eu',X'F978AC6F019A379E5B83276BD96B3EEC7DECFDFADCF9623AD1561EC601251F5B',1795699268323,'admin token',NULL);
CREATE TABLE gateways (
    id         TEXT    PRIMARY KEY,
    version    TEXT,
    connected  INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL
, session BLOB CHECK (session IS NULL OR length(session) = 32), keeper TEXT, beat INTEGER NOT NULL DEFAULT 0, has_table INTEGER NOT NULL DEFAULT 1, acknowledged INTEGER, acknowledged_at INTEGER NOT NULL DEFAULT 0, expected_until INTEGER NOT NULL DEFAULT 0, stale INTEGER NOT NULL DEFAULT 0, workers INTEGER, other_database INTEGER NOT NULL DEFAULT 0, leaving_until INTEGER NOT NULL DEFAULT 0, forgotten INTEGER NOT NULL DEFAULT 0, accepts INTEGER NOT NULL DEFAULT 1, shadow INTEGER) STRICT, WITHOUT ROWID;
CREATE TABLE idempotency_keys (
    idempotency_key TEXT    PRIMARY KEY,
    fingerprint     BLOB    NOT NULL,
    api_key_id      TEXT    NOT NULL,
    created_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE idle_keys (
    key_seq       INTEGER PRIMARY KEY REFERENCES api_keys (seq),
    workspace_seq INTEGER NOT NULL,
    since         INTEGER NOT NULL
) STRICT;
INSERT INTO "idle_keys" VALUES(2,1,29924640);
INSERT INTO "idle_keys" VALUES(3,1,29924640);
CREATE TABLE idle_keys_log (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO "idle_keys_log" VALUES(1,12);
CREATE TABLE invitations (
    hash          BLOB    PRIMARY KEY CHECK (length(hash) = 32),
    id            TEXT    NOT NULL UNIQUE,
    workspace_seq INTEGER NOT NULL REFERENCES workspaces (seq),
    email         TEXT    NOT NULL,              -- as users.email
    role          TEXT    NOT NULL CHECK (role IN ('owner', 'member', 'viewer')),
    created_by    TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE key_gateways (
    key_seq      INTEGER NOT NULL REFERENCES api_keys (seq),
    gateway      TEXT    NOT NULL,
    last_used_at INTEGER NOT NULL,
    PRIMARY KEY (key_seq, gateway)
) STRICT, WITHOUT ROWID;
CREATE TABLE key_usage (
    key_seq       INTEGER NOT NULL REFERENCES api_keys (seq),
    step          INTEGER NOT NULL CHECK (step IN (1, 60, 1440)),
    start         INTEGER NOT NULL,
    workspace_seq INTEGER NOT NULL,
    admitted      INTEGER NOT NULL,
    rate_limited  INTEGER NOT NULL,
    forbidden     INTEGER NOT NULL,
    expired       INTEGER NOT NULL,
    environment   INTEGER NOT NULL,
    revoked       INTEGER NOT NULL,
    PRIMARY KEY (key_seq, step, start)
) STRICT, WITHOUT ROWID;
INSERT INTO "key_usage" VALUES(1,60,29924700,1,5,2,0,0,0,0);
INSERT INTO "key_usage" VALUES(1,1440,29923200,1,5,2,0,0,0,0);
CREATE TABLE key_uses (
    key_seq         INTEGER PRIMARY KEY REFERENCES api_keys (seq),
    last_used_at    INTEGER,
    last_used_by    TEXT,
    last_refused_at INTEGER,
    last_refused_by TEXT
, workspace_seq INTEGER) STRICT;
INSERT INTO "key_uses" VALUES(1,29924758,'shared/eu-west-1-1f0c93aa',NULL,NULL,1);
CREATE TABLE memberships (
    user_seq      INTEGER NOT NULL REFERENCES users (seq),
    workspace_seq INTEGER NOT NULL REFERENCES workspaces (seq),
    role          TEXT    NOT NULL CHECK (role IN ('owner', 'member', 'viewer')),
    PRIMARY KEY (user_seq, workspace_seq)
) STRICT, WITHOUT ROWID;
INSERT INTO "memberships" VALUES(1,1,'owner');
CREATE TABLE operator_tokens (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT    NOT NULL UNIQUE,
    name          TEXT    NOT NULL UNIQUE,
    hash          BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    workspace_seq INTEGER REFERENCES workspaces (seq),
    role          TEXT    CHECK (role IN ('owner', 'member', 'viewer')),
    created_at    INTEGER NOT NULL,
    created_by    TEXT    NOT NULL,
    expires_at    INTEGER,
    revoked_at    INTEGER,
    last_used_at  INTEGER,
    CHECK ((workspace_seq IS NULL) = (role IS NULL))
) STRICT;
INSERT INTO "operator_tokens" VALUES(1,'opt_cridiS9WFcKfPsazIS','dump-owner',X'EFB61DDF0355DFF81A7E177884C0A5A462B971757D0952ED867A07A2F0F6E256',1,'owner',1796095087983,'admin token',NULL,NULL,NULL);
INSERT INTO "operator_tokens" VALUES(2,'opt_CFsE0ij5xvOZc8c6ph','dump-all',X'CD4BECC4C0B1940A67539DF566E185CC21675EB4A8086EA705F9D3B676FD5202',NULL,NULL,1796095087995,'admin token',NULL,NULL,NULL);
CREATE TABLE plans (
    name         TEXT    NOT NULL PRIMARY KEY,
    scope        TEXT    NOT NULL CHECK (scope IN ('key', 'workspace')),
    limits       TEXT    NOT NULL,  -- as of a workspace
    restrictions TEXT,              -- as of a key
    revision     INTEGER NOT NULL,  -- of its last change
    created_at   INTEGER NOT NULL   -- Unix milliseconds
) STRICT;
INSERT INTO "plans" VALUES('free','key','[{"name":"default","scope":"key","requests":100,"window_seconds":60}]',NULL,10,1796108450956);
CREATE TABLE recovery_codes (
    user_seq INTEGER NOT NULL REFERENCES second_factors (user_seq),
    hash     BLOB    NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (user_seq, hash)
) STRICT, WITHOUT ROWID;
CREATE TABLE replicas (
    id         TEXT    PRIMARY KEY,
    version    TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    heartbeat  INTEGER NOT NULL,
    beat       INTEGER NOT NULL,
    head       INTEGER NOT NULL,
    polls      INTEGER NOT NULL
) STRICT;
CREATE TABLE revision_log (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    epoch    TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    floor    INTEGER NOT NULL
, credentials INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "revision_log" VALUES(1,'e_5m03PiklBU1uNSnkF9S9',12,0,1801290310342249952);
CREATE TABLE revision_tags (
    revision INTEGER PRIMARY KEY,
    tag      TEXT    NOT NULL
) STRICT;
INSERT INTO "revision_tags" VALUES(4,'t_A1pAU8bZSWMQAIadFVDv');
INSERT INTO "revision_tags" VALUES(6,'t_KgvsmSyQN4mF6bO5IPEB');
INSERT INTO "revision_tags" VALUES(8,'t_ZPnfKtX5iLoeo0HgmRx3');
INSERT INTO "revision_tags" VALUES(9,'t_83qkluaJAKlqJqnJwjrc');
INSERT INTO "revision_tags" VALUES(10,'t_pBYjkN5CtHUPGDYfl6zN');
INSERT INTO "revision_tags" VALUES(11,'t_skiUY3D4g3sa0nqdAef2');
INSERT INTO "revision_tags" VALUES(12,'t_h2tHHz27SGKVuv4gCkzn');
CREATE TABLE revocation_receipts (
    key_seq       INTEGER PRIMARY KEY REFERENCES api_keys (seq),
    workspace_seq INTEGER NOT NULL,
    measured_at   INTEGER NOT NULL,  -- Unix milliseconds
    gateways      INTEGER NOT NULL,  -- connected then
    enforced      INTEGER NOT NULL,  -- of those, how many had confirmed it
    cut_off       INTEGER NOT NULL,  -- not connected, and may have gone on with the key
    slowest_ms    INTEGER            -- of those that had confirmed it
) STRICT;
CREATE TABLE saved_books (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    books    BLOB NOT NULL
) STRICT;
INSERT INTO "saved_books" VALUES(1,X'7B2276657273696F6E223A312C226D61726B223A323138313035373937322C226F70656E735F6174223A333030303030302C22726F7773223A5B332C315D2C226E6F77223A373430313337362C22626F6F6B73223A5B5D7D');
CREATE TABLE second_factors (
    user_seq  INTEGER PRIMARY KEY REFERENCES users (seq),
    secret    BLOB    NOT NULL CHECK (length(secret) = 20),
    since     INTEGER NOT NULL,
    last_step INTEGER NOT NULL
) STRICT;
CREATE TABLE sessions (
    id_hash    BLOB    PRIMARY KEY CHECK (length(id_hash) = 32),
    data       TEXT    NOT NULL,
    expires_at INTEGER NOT NULL
, user_id TEXT) STRICT, WITHOUT ROWID;
CREATE TABLE shadow_keys (
    day          INTEGER NOT NULL,
    key_seq      INTEGER NOT NULL REFERENCES api_keys (seq),
    rate_limited INTEGER NOT NULL,
    forbidden    INTEGER NOT NULL,
    expired      INTEGER NOT NULL,
    environment  INTEGER NOT NULL,
    last_at      INTEGER NOT NULL,
    PRIMARY KEY (day, key_seq)
) STRICT, WITHOUT ROWID;
INSERT INTO "shadow_keys" VALUES(29934720,2,3,0,0,0,29935375);
CREATE TABLE shadow_reasons (
    day      INTEGER NOT NULL,
    gateway  TEXT    NOT NULL,
    reason   TEXT    NOT NULL,
    requests INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    PRIMARY KEY (day, gateway, reason)
) STRICT, WITHOUT ROWID;
INSERT INTO "shadow_reasons" VALUES(29934720,'shared/edge','rate_limited.key',3,29935375);
CREATE TABLE signing_keys (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL CHECK (length(value) = 32)
) STRICT;
INSERT INTO "signing_keys" VALUES('cookies',X'BD08718D0C7C29A43FAF88D897D4214166790FA1B6FC99BAE98844CAD79A9B3D');
CREATE TABLE throttles (
    subject TEXT    PRIMARY KEY,
    rest_at INTEGER NOT NULL
) STRICT;
CREATE TABLE usage_cursors (
    credential TEXT    NOT NULL,
    session    BLOB    NOT NULL CHECK (length(session) = 32),
    sequence   INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    PRIMARY KEY (credential, session)
) STRICT, WITHOUT ROWID;
INSERT INTO "usage_cursors" VALUES('shared',X'5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A',7,29924759);
INSERT INTO "usage_cursors" VALUES('shared',X'F2313832568921041B9C7FC1983C5D89AA10246B67DEB7784669452492BC14B4',1,29935375);
CREATE TABLE usage_log (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    since    INTEGER NOT NULL
) STRICT;
INSERT INTO "usage_log" VALUES(1,29924000);
CREATE TABLE users (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT    NOT NULL UNIQUE,
    email         TEXT    NOT NULL UNIQUE,        -- lower-case
    password_hash TEXT    NOT NULL,               -- argon2id, PHC string
    stamp         TEXT    NOT NULL,               -- sessions that carry another stamp have ended
    created_at    INTEGER NOT NULL,
    disabled_at   INTEGER
, is_operator INTEGER NOT NULL DEFAULT 0 CHECK (is_operator IN (0, 1)), vouched_by INTEGER REFERENCES workspaces (seq), oidc_subject TEXT) STRICT;
INSERT INTO "users" VALUES(1,'usr_Cx22vJylrpI3PMn8KxYT','ada@example.com','$argon2id$v=19$m=19456,t=2,p=1$xb7OuCoOjS6BXplbXUDNrQ$iU4O/I2ya8+YHm7t1AsSX2oTNkVIROORV9W8UANNdIw','1LzO4vVpwsCds35AzdlM',1795485129283,NULL,1,NULL,NULL);
CREATE TABLE workspace_usage (
    workspace_seq INTEGER NOT NULL REFERENCES workspaces (seq),
    step          INTEGER NOT NULL CHECK (step IN (1, 60, 1440)),
    start         INTEGER NOT NULL,
    admitted      INTEGER NOT NULL,
    rate_limited  INTEGER NOT NULL,
    forbidden     INTEGER NOT NULL,
    expired       INTEGER NOT NULL,
    environment   INTEGER NOT NULL,
    revoked       INTEGER NOT NULL,
    PRIMARY KEY (workspace_seq, step, start)
) STRICT, WITHOUT ROWID;
INSERT INTO "workspace_usage" VALUES(1,60,29924700,5,2,0,0,0,0);
INSERT INTO "workspace_usage" VALUES(1,1440,29923200,5,2,0,0,0,0);
CREATE TABLE workspaces (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    id             TEXT    NOT NULL UNIQUE,
    slug           TEXT    NOT NULL UNIQUE,
    name           TEXT    NOT NULL,
    default_limits TEXT    NOT NULL,             -- JSON list of limits
    created_at     INTEGER NOT NULL
, ceiling TEXT, workspace_limits TEXT NOT NULL DEFAULT '[]', max_active_keys INTEGER CHECK (max_active_keys >= 0), plan TEXT REFERENCES plans (name)) STRICT;
INSERT INTO "workspaces" VALUES(1,'ws_jbUfKJMGSvbbM3FX2EpZ','demo','Demo','[{"name":"default","scope":"key","requests":100,"window_seconds":60,"burst":20}]',1795485129135,'{"name":"ceiling","scope":"key","requests":1000,"window_seconds":60,"burst":1000}','[{"name":"shared","scope":"workspace","requests":5000,"window_seconds":3600}]',7,NULL);
CREATE UNIQUE INDEX api_keys_revision ON api_keys (revision) WHERE revision IS NOT NULL;
CREATE UNIQUE INDEX api_keys_listed ON api_keys (hash) WHERE listed = 1;
CREATE INDEX api_keys_removed ON api_keys (revision) WHERE listed = 0 AND revision IS NOT NULL;
CREATE INDEX api_keys_expiry ON api_keys (expires_at) WHERE listed = 1 AND expires_at IS NOT NULL;
CREATE INDEX api_keys_workspace ON api_keys (workspace_seq, seq);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
CREATE INDEX memberships_workspace ON memberships (workspace_seq, user_seq);
CREATE INDEX sessions_expiry ON sessions (expires_at);
CREATE INDEX audit_log_workspace ON audit_log (workspace_seq, seq);
CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_log_no_replace BEFORE INSERT ON audit_log WHEN EXISTS (SELECT 1 FROM audit_log WHERE seq = NEW.seq)
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE INDEX api_keys_active ON api_keys (workspace_seq, expires_at) WHERE listed = 1;
CREATE INDEX api_keys_unfolded ON api_keys (seq) WHERE folded IS NULL;
CREATE INDEX audit_log_target ON audit_log (target_id, seq) WHERE target_id IS NOT NULL;
CREATE INDEX gateways_by_keeper ON gateways (keeper, beat);
CREATE INDEX throttles_by_rest ON throttles (rest_at);
CREATE INDEX key_usage_age ON key_usage (step, start);
CREATE INDEX key_usage_busiest ON key_usage (workspace_seq, start, admitted) WHERE step = 1440;
CREATE INDEX workspace_usage_age ON workspace_usage (step, start);
CREATE INDEX key_uses_refused ON key_uses (last_refused_at) WHERE last_refused_at IS NOT NULL;
CREATE INDEX usage_cursors_age ON usage_cursors (seen_at);
CREATE INDEX sessions_of_user ON sessions (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX idle_keys_since ON idle_keys (since, key_seq);
CREATE INDEX idle_keys_workspace ON idle_keys (workspace_seq, since, key_seq);
CREATE INDEX key_uses_refused_here ON key_uses (workspace_seq, last_refused_at) WHERE last_refused_at IS NOT NULL;
CREATE INDEX api_keys_working ON api_keys (workspace_seq, seq) WHERE listed = 1;
CREATE INDEX api_keys_revoked ON api_keys (workspace_seq, seq) WHERE revoked_at IS NOT NULL;
CREATE INDEX api_keys_ends ON api_keys (workspace_seq, expires_at) WHERE revoked_at IS NULL AND expires_at IS NOT NULL;
CREATE INDEX invitations_workspace ON invitations (workspace_seq, created_at);
CREATE INDEX invitations_age ON invitations (expires_at);
CREATE UNIQUE INDEX users_oidc_subject ON users (oidc_subject) WHERE oidc_subject IS NOT NULL;
CREATE INDEX revocation_receipts_newest ON revocation_receipts (workspace_seq, measured_at);
CREATE INDEX api_keys_plan ON api_keys (plan, seq, revoked_at) WHERE plan IS NOT NULL;
CREATE INDEX api_keys_shadow ON api_keys (seq, revoked_at) WHERE shadow = 1;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('workspaces',1);
INSERT INTO "sqlite_sequence" VALUES('audit_log',17);
INSERT INTO "sqlite_sequence" VALUES('api_keys',3);
INSERT INTO "sqlite_sequence" VALUES('users',1);
INSERT INTO "sqlite_sequence" VALUES('gateway_credentials',1);
INSERT INTO "sqlite_sequence" VALUES('operator_tokens',2);
COMMIT;
