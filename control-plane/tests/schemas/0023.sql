-- A database of schema 0023, as the program left it: that of 0020, with what would have been refused of a key that was in shadow.
BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO _sqlx_migrations VALUES(1,'initial','2026-11-24 01:52:09',1,X'5dadf5684d83bcb99b1960dbd3493477f797dcd4d92e5d02cfcda0d06251ba649181765f14e003a8133b5399d55dbb95',4668927);
INSERT INTO _sqlx_migrations VALUES(2,'people','2026-11-24 01:52:09',1,X'5e5fdae56bd528f0610f00325ebd622a3124e206aa060aef4812cb06292d434c791c493f1aa64154df444cca30a43209',4138076);
INSERT INTO _sqlx_migrations VALUES(3,'gateways','2026-11-26 13:21:06',1,X'e2fa2794cfda083fa47801c85e01572af1f0e8e96e5f9065dd1388f68ed8a37cac03cdb866269dedbc995bf7e83458ba',11060245);
INSERT INTO _sqlx_migrations VALUES(4,'bounds','2026-11-26 14:35:25',1,X'65dc86e693a00bc82867d0d59e10e310874d74c151f11d0c530b921334a5b2ffd6806f44fd8a62d2b50e119ec6534f69',4454089);
INSERT INTO _sqlx_migrations VALUES(5,'search','2026-11-26 16:13:26',1,X'5750b626418d4340255c14244a536dd5fb45017a47a1b9f484880baafe08811356aa5b04b33f65f228552facd9318ced',35167989);
INSERT INTO _sqlx_migrations VALUES(6,'ceiling','2026-11-26 17:10:19',1,X'6af5043718d25f98633e32b0ce27472f61737077d4915c5a6edd10649d5a5fea8e2254d133df91915af497c4ffe6a27b',11532368);
INSERT INTO _sqlx_migrations VALUES(7,'audit target','2026-11-30 18:59:31',1,X'342d8c23db68d25d10b0f89a5b7ec77af7201de6301156eea48c3503b678af996f17e31e2dee30440da765ab8ec95ff2',5517552);
INSERT INTO _sqlx_migrations VALUES(9,'replicas','2026-11-30 22:00:00',1,X'7df2176b6f5d0aa5c71c284fca57d36d74ea5709573b97b0e1f31d1c956d427db86c4e38585bb26d6ce5be515a501e8d',4000000);
INSERT INTO _sqlx_migrations VALUES(10,'usage','2026-11-30 22:00:00',1,X'2143c7db72c8a1a15add105a9e126b570b601668466979eb912bb104b3a99fbcfad7d5050d996336c6ede76b069dadc1',4000000);
INSERT INTO _sqlx_migrations VALUES(11,'operators','2026-12-01 03:18:03',1,X'294d89f6411f66b2123e02b379acfbcd1f6a582f97a7404356d9524ca9d1b58f07a446e6f23e94abfeae6d6261fa0a8f',1998988);
INSERT INTO _sqlx_migrations VALUES(12,'idle keys','2026-12-01 03:18:03',1,X'dc6e40589c3227e802963488fe0847fbb2d6b5a58ad4008f184aca0d0d8e6364af7473847d32ae539bd5b3e648f1bc55',1643600);
INSERT INTO _sqlx_migrations VALUES(13,'console','2026-12-01 03:18:03',1,X'baf33db1e14e5a39e4cfb5c4de39b75dcb320285b04da3e8c72742958dc8caf61b1088355377d1ecb5b974e5a48f40cf',1708947);
INSERT INTO _sqlx_migrations VALUES(14,'subjects','2026-12-01 03:18:03',1,X'ba8c41b4c5ee526524c2d76b45e7a4acc83a6af5bbb13a503cdfe55fa36bbfdc409c5d26da8a284861d31ad2e3bd3c11',1180583);
INSERT INTO _sqlx_migrations VALUES(15,'key pages','2026-12-01 03:18:03',1,X'0bb8ebe2720750e78ebe822ad8c8d0a1a522c7748bbf5d94e10c100f88bfd7a20496197859c59be8c90c00ac37397915',1443763);
INSERT INTO _sqlx_migrations VALUES(16,'lending','2026-12-01 07:00:50',1,X'7543a17851a2cf066846c2f1f11adf50e8322688b7dce737c04cfae48bdd7a33bc8b9ce7f77b0b656b33881c461fc5ce',2148930);
INSERT INTO _sqlx_migrations VALUES(17,'restrictions','2026-12-01 07:00:50',1,X'3d48cbfe9db3c5a9be51556a80c7a376324a86abc1875d6e42557d9f143c12f727951809e69f65503220f03389ceaa5d',2349218);
INSERT INTO _sqlx_migrations VALUES(18,'plans','2026-12-01 07:00:50',1,X'15496ec0446b4ed49095a728a894f9fc6b7707d5f27b74a1e10de251de2b2324da0a90c856b57fd99a3eb761bc1e282f',1844328);
INSERT INTO _sqlx_migrations VALUES(20,'second factors','2026-12-01 07:00:50',1,X'ebd39a4201e6f225a8d997886709a76bcded86ce97a505cc7b1f1b0e06a36069f45ab9dd59f36d4122b7650c9cccdf3b',460564);
INSERT INTO _sqlx_migrations VALUES(21,'shadow','2026-12-01 10:55:07',1,X'ec5a8fc836c23ec923206b2be4bdd92a1c8cfd7870a0e86afd492bd7f56ae6ae3d44beace54dc1a5c4ffc53d85a5300b',36919235);
INSERT INTO _sqlx_migrations VALUES(22,'on plan','2026-12-01 11:43:47',1,X'669d0df5a9098b395fb2e69458cbef657ec5adc89b48a5453a8c1d96a42143bf75b98a0cd1495be471d0672691d4db01',9109063);
INSERT INTO _sqlx_migrations VALUES(23,'shadow usage','2026-12-01 13:58:47',1,X'e3788dfb49f41c214452427f09549003dd9b68bd633149b1efb1746b1e98c271ebfb90151a2620f0f20243f7382f145f',1843327);
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
INSERT INTO api_keys VALUES(1,'key_w4dlOaacZPJ1k8vJglWy',X'9ad660be9adf83616e519c86d3340e66948f685fa35473e8de4f2c55908c7edc',1,'live','Production App','sk_live_…YT43',NULL,1795485129143,NULL,1795485129274,NULL,'key_jUclwq6rRMhwFt3pp8ls',0,4,'admin token',replace('production app\nsk_live_...yt43\nkey_w4dloaaczpj1k8vjglwy','\n',char(10)),NULL,NULL,NULL,0);
INSERT INTO api_keys VALUES(2,'key_1543aVUDbmMAYiJge0jL',X'58583ca46069287b021a1ee204e4feb63b1d66fadcc433996291501e596eb7e0',1,'test','Straße nach Ärgern','sk_test_…u7Xk','[{"name":"slow","scope":"key","requests":100,"window_seconds":60}]',1795485129267,4949085129,NULL,NULL,NULL,1,12,'admin token',replace('strasse nach ärgern\nsk_test_...u7xk\nkey_1543avudbmmayijge0jl','\n',char(10)),NULL,NULL,NULL,0);
INSERT INTO api_keys VALUES(3,'key_jUclwq6rRMhwFt3pp8ls',X'6a79263f819fd310c0616ee47b1834ccf08202c061cfce3433cd45829bebed2a',1,'live','Production App','sk_live_…kHBK',NULL,1795485129274,NULL,NULL,'key_w4dlOaacZPJ1k8vJglWy',NULL,1,8,'admin token',replace('production app\nsk_live_...khbk\nkey_juclwq6rrmhwft3pp8ls','\n',char(10)),'from schema 0015',NULL,NULL,0);
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
INSERT INTO audit_log VALUES(1,1795485129135,1,'admin_token',NULL,'admin token','cli','127.0.0.1','workspace.created','ws_jbUfKJMGSvbbM3FX2EpZ','Demo','{"default_limits":["default=100/60s+20"],"slug":"demo"}');
INSERT INTO audit_log VALUES(2,1795485129143,1,'admin_token',NULL,'admin token','cli','127.0.0.1','api_key.created','key_w4dlOaacZPJ1k8vJglWy','Production App','{"environment":"live","expires_at":null,"key":"sk_live_…YT43","limits":null}');
INSERT INTO audit_log VALUES(3,1795485129267,1,'admin_token',NULL,'admin token','cli','127.0.0.1','api_key.created','key_1543aVUDbmMAYiJge0jL','CI','{"environment":"test","expires_at":"2126-10-31T01:52:09Z","key":"sk_test_…u7Xk","limits":["default=100/60s"]}');
INSERT INTO audit_log VALUES(4,1795485129274,1,'admin_token',NULL,'admin token','cli','127.0.0.1','api_key.rotated','key_w4dlOaacZPJ1k8vJglWy','Production App','{"grace_seconds":0,"key":"sk_live_…YT43","new_id":"key_jUclwq6rRMhwFt3pp8ls","new_key":"sk_live_…kHBK"}');
INSERT INTO audit_log VALUES(5,1795485129283,1,'admin_token',NULL,'admin token','cli','127.0.0.1','user.added','usr_Cx22vJylrpI3PMn8KxYT','ada@example.com','{"new":true,"role":"owner"}');
INSERT INTO audit_log VALUES(6,1795699268323,NULL,'admin_token',NULL,'admin token','cli','127.0.0.1','gateway_credential.added','gwc_aEkxPeLAWMth3J8qlU','eu','{}');
INSERT INTO audit_log VALUES(7,1795703725583,1,'admin_token',NULL,'admin token','api','127.0.0.1','workspace.updated','ws_jbUfKJMGSvbbM3FX2EpZ','Demo','{"ceiling":"ceiling=1000/60s+1000","default_limits":["default=100/60s+20"],"max_active_keys":10,"slug":"demo","workspace_limits":["shared=5000/3600s@workspace"]}');
INSERT INTO audit_log VALUES(8,1795703725588,1,'admin_token',NULL,'admin token','api','127.0.0.1','user.operator_made','usr_Cx22vJylrpI3PMn8KxYT','ada@example.com','{}');
INSERT INTO audit_log VALUES(9,1795709607172,1,'admin_token',NULL,'admin token','api','127.0.0.1','api_key.renamed','key_1543aVUDbmMAYiJge0jL','Straße nach Ärgern','{"before":"CI","key":"sk_test_…u7Xk"}');
INSERT INTO audit_log VALUES(10,1795713019831,1,'admin_token',NULL,'admin token','api','127.0.0.1','api_key.updated','key_1543aVUDbmMAYiJge0jL','Straße nach Ärgern','{"environment":"test","expires_at":"2126-10-31T01:52:09Z","key":"sk_test_…u7Xk","limits":["slow=100/60s"]}');
INSERT INTO audit_log VALUES(11,1796065171674,1,'admin_token',NULL,'admin token','cli','127.0.0.1','workspace.updated','ws_jbUfKJMGSvbbM3FX2EpZ','Demo','{"before":{"max_active_keys":10},"ceiling":"ceiling=1000/60s+1000","default_limits":["default=100/60s+20"],"max_active_keys":7,"slug":"demo","workspace_limits":["shared=5000/3600s@workspace"]}');
INSERT INTO audit_log VALUES(12,1796095087983,1,'admin_token',NULL,'admin token','cli','127.0.0.1','token.created','opt_cridiS9WFcKfPsazIS','dump-owner','{"role":"owner","expires_at":null}');
INSERT INTO audit_log VALUES(13,1796095087995,NULL,'admin_token',NULL,'admin token','cli','127.0.0.1','token.created','opt_CFsE0ij5xvOZc8c6ph','dump-all','{"role":null,"expires_at":null}');
INSERT INTO audit_log VALUES(14,1796095088102,1,'admin_token',NULL,'admin token','cli','127.0.0.1','api_key.updated','key_jUclwq6rRMhwFt3pp8ls','Production App','{"key":"sk_live_…kHBK","environment":"live","expires_at":null,"limits":null,"before":{"note":null},"note":"from schema 0015"}');
INSERT INTO audit_log VALUES(15,1796108450956,NULL,'admin_token',NULL,'admin token','api','127.0.0.1','plan.created','free','free','{"limits":["default=100/60s"],"restrictions":null,"scope":"key"}');
INSERT INTO audit_log VALUES(16,1796122510183,1,'admin_token',NULL,'admin token','cli','127.0.0.1','api_key.shadow_begun','key_1543aVUDbmMAYiJge0jL','Straße nach Ärgern','{"key":"sk_test_…u7Xk"}');
INSERT INTO audit_log VALUES(17,1796122819476,1,'admin_token',NULL,'admin token','cli','127.0.0.1','api_key.shadow_ended','key_1543aVUDbmMAYiJge0jL','Straße nach Ärgern','{"key":"sk_test_…u7Xk"}');
CREATE TABLE gateway_credentials (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL UNIQUE,
    hash       BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at INTEGER NOT NULL,
    created_by TEXT    NOT NULL,
    revoked_at INTEGER
) STRICT;
INSERT INTO gateway_credentials VALUES(1,'gwc_aEkxPeLAWMth3J8qlU','eu',X'f978ac6f019a379e5b83276bd96b3eec7decfdfadcf9623ad1561ec601251f5b',1795699268323,'admin token',NULL);
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
INSERT INTO idle_keys VALUES(2,1,29924640);
INSERT INTO idle_keys VALUES(3,1,29924640);
CREATE TABLE idle_keys_log (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO idle_keys_log VALUES(1,12);
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
    revoked       INTEGER NOT NULL, shadow_limited INTEGER NOT NULL DEFAULT 0, shadow_refused INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (key_seq, step, start)
) STRICT, WITHOUT ROWID;
INSERT INTO key_usage VALUES(1,60,29924700,1,5,2,0,0,0,0,0,0);
INSERT INTO key_usage VALUES(1,1440,29923200,1,5,2,0,0,0,0,0,0);
CREATE TABLE key_uses (
    key_seq         INTEGER PRIMARY KEY REFERENCES api_keys (seq),
    last_used_at    INTEGER,
    last_used_by    TEXT,
    last_refused_at INTEGER,
    last_refused_by TEXT
, workspace_seq INTEGER) STRICT;
INSERT INTO key_uses VALUES(1,29924758,'shared/eu-west-1-1f0c93aa',NULL,NULL,1);
CREATE TABLE memberships (
    user_seq      INTEGER NOT NULL REFERENCES users (seq),
    workspace_seq INTEGER NOT NULL REFERENCES workspaces (seq),
    role          TEXT    NOT NULL CHECK (role IN ('owner', 'member', 'viewer')),
    PRIMARY KEY (user_seq, workspace_seq)
) STRICT, WITHOUT ROWID;
INSERT INTO memberships VALUES(1,1,'owner');
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
INSERT INTO operator_tokens VALUES(1,'opt_cridiS9WFcKfPsazIS','dump-owner',X'efb61ddf0355dff81a7e177884c0a5a462b971757d0952ed867a07a2f0f6e256',1,'owner',1796095087983,'admin token',NULL,NULL,NULL);
INSERT INTO operator_tokens VALUES(2,'opt_CFsE0ij5xvOZc8c6ph','dump-all',X'cd4becc4c0b1940a67539df566e185cc21675eb4a8086ea705f9d3b676fd5202',NULL,NULL,1796095087995,'admin token',NULL,NULL,NULL);
CREATE TABLE plans (
    name         TEXT    NOT NULL PRIMARY KEY,
    scope        TEXT    NOT NULL CHECK (scope IN ('key', 'workspace')),
    limits       TEXT    NOT NULL,  -- as of a workspace
    restrictions TEXT,              -- as of a key
    revision     INTEGER NOT NULL,  -- of its last change
    created_at   INTEGER NOT NULL   -- Unix milliseconds
) STRICT;
INSERT INTO plans VALUES('free','key','[{"name":"default","scope":"key","requests":100,"window_seconds":60}]',NULL,10,1796108450956);
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
INSERT INTO revision_log VALUES(1,'e_5m03PiklBU1uNSnkF9S9',12,0,1801290310342249952);
CREATE TABLE revision_tags (
    revision INTEGER PRIMARY KEY,
    tag      TEXT    NOT NULL
) STRICT;
INSERT INTO revision_tags VALUES(4,'t_A1pAU8bZSWMQAIadFVDv');
INSERT INTO revision_tags VALUES(6,'t_KgvsmSyQN4mF6bO5IPEB');
INSERT INTO revision_tags VALUES(8,'t_ZPnfKtX5iLoeo0HgmRx3');
INSERT INTO revision_tags VALUES(9,'t_83qkluaJAKlqJqnJwjrc');
INSERT INTO revision_tags VALUES(10,'t_pBYjkN5CtHUPGDYfl6zN');
INSERT INTO revision_tags VALUES(11,'t_skiUY3D4g3sa0nqdAef2');
INSERT INTO revision_tags VALUES(12,'t_h2tHHz27SGKVuv4gCkzn');
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
INSERT INTO saved_books VALUES(1,X'7b2276657273696f6e223a312c226d61726b223a323138313035373937322c226f70656e735f6174223a333030303030302c22726f7773223a5b332c315d2c226e6f77223a31323134303435302c22626f6f6b73223a5b5d7d');
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
INSERT INTO shadow_keys VALUES(29934720,2,3,0,0,0,29935375);
CREATE TABLE shadow_reasons (
    day      INTEGER NOT NULL,
    gateway  TEXT    NOT NULL,
    reason   TEXT    NOT NULL,
    requests INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    PRIMARY KEY (day, gateway, reason)
) STRICT, WITHOUT ROWID;
INSERT INTO shadow_reasons VALUES(29934720,'shared/edge','rate_limited.key',3,29935375);
CREATE TABLE signing_keys (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL CHECK (length(value) = 32)
) STRICT;
INSERT INTO signing_keys VALUES('cookies',X'bd08718d0c7c29a43faf88d897d4214166790fa1b6fc99bae98844cad79a9b3d');
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
INSERT INTO usage_cursors VALUES('shared',X'5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a',7,29924759);
INSERT INTO usage_cursors VALUES('shared',X'f2313832568921041b9c7fc1983c5d89aa10246b67deb7784669452492bc14b4',1,29935375);
CREATE TABLE usage_log (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    since    INTEGER NOT NULL
) STRICT;
INSERT INTO usage_log VALUES(1,29924000);
CREATE TABLE users (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT    NOT NULL UNIQUE,
    email         TEXT    NOT NULL UNIQUE,        -- lower-case
    password_hash TEXT    NOT NULL,               -- argon2id, PHC string
    stamp         TEXT    NOT NULL,               -- sessions that carry another stamp have ended
    created_at    INTEGER NOT NULL,
    disabled_at   INTEGER
, is_operator INTEGER NOT NULL DEFAULT 0 CHECK (is_operator IN (0, 1)), vouched_by INTEGER REFERENCES workspaces (seq), oidc_subject TEXT) STRICT;
INSERT INTO users VALUES(1,'usr_Cx22vJylrpI3PMn8KxYT','ada@example.com','$argon2id$v=19$m=19456,t=2,p=1$xb7OuCoOjS6BXplbXUDNrQ$iU4O/I2ya8+YHm7t1AsSX2oTNkVIROORV9W8UANNdIw','1LzO4vVpwsCds35AzdlM',1795485129283,NULL,1,NULL,NULL);
CREATE TABLE workspace_usage (
    workspace_seq INTEGER NOT NULL REFERENCES workspaces (seq),
    step          INTEGER NOT NULL CHECK (step IN (1, 60, 1440)),
    start         INTEGER NOT NULL,
    admitted      INTEGER NOT NULL,
    rate_limited  INTEGER NOT NULL,
    forbidden     INTEGER NOT NULL,
    expired       INTEGER NOT NULL,
    environment   INTEGER NOT NULL,
    revoked       INTEGER NOT NULL, shadow_limited INTEGER NOT NULL DEFAULT 0, shadow_refused INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace_seq, step, start)
) STRICT, WITHOUT ROWID;
INSERT INTO workspace_usage VALUES(1,60,29924700,5,2,0,0,0,0,0,0);
INSERT INTO workspace_usage VALUES(1,1440,29923200,5,2,0,0,0,0,0,0);
CREATE TABLE workspaces (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    id             TEXT    NOT NULL UNIQUE,
    slug           TEXT    NOT NULL UNIQUE,
    name           TEXT    NOT NULL,
    default_limits TEXT    NOT NULL,             -- JSON list of limits
    created_at     INTEGER NOT NULL
, ceiling TEXT, workspace_limits TEXT NOT NULL DEFAULT '[]', max_active_keys INTEGER CHECK (max_active_keys >= 0), plan TEXT REFERENCES plans (name)) STRICT;
INSERT INTO workspaces VALUES(1,'ws_jbUfKJMGSvbbM3FX2EpZ','demo','Demo','[{"name":"default","scope":"key","requests":100,"window_seconds":60,"burst":20}]',1795485129135,'{"name":"ceiling","scope":"key","requests":1000,"window_seconds":60,"burst":1000}','[{"name":"shared","scope":"workspace","requests":5000,"window_seconds":3600}]',7,NULL);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('workspaces',1);
INSERT INTO sqlite_sequence VALUES('audit_log',17);
INSERT INTO sqlite_sequence VALUES('api_keys',3);
INSERT INTO sqlite_sequence VALUES('users',1);
INSERT INTO sqlite_sequence VALUES('gateway_credentials',1);
INSERT INTO sqlite_sequence VALUES('operator_tokens',2);
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
CREATE INDEX api_keys_shadow ON api_keys (seq, revoked_at) WHERE shadow = 1;
CREATE INDEX api_keys_plan ON api_keys (plan, revoked_at, seq) WHERE plan IS NOT NULL;
CREATE INDEX workspaces_plan ON workspaces (plan, seq) WHERE plan IS NOT NULL;
COMMIT;
