//! The rules about running programs: a gateway by its admin interface, and the control plane.

use crate::finding::Rule;
use crate::finding::Severity::{Error, Hint, Warning};

rules! { RUNNING_RULES "Every rule about running programs.";
    ADMIN_UNREACHABLE Error "admin-unreachable" "Nothing can be said of this gateway." "Is Envoy running, and is this its admin address?"
    NOT_ENVOY Error "admin-not-envoy" "What answers there is not Envoy's admin interface." "Give the address of admin in Envoy's configuration."
    NOT_LIVE Error "envoy-not-live" "It takes no requests yet, or no more." "Look at its log."
    ENVOY_VERSION Warning "envoy-version" "The filter was not tested with it." "Use one of the versions in README."
    FILTER_SILENT Error "filter-not-running" "No worker has a VM of the filter: what is behind a guard gets 403, the rest passes without a key." "Look for the filter's errors in Envoy's log at its start."
    VM_RELOADED Warning "vm-reloaded" "Requests of that worker got 503 until it was there again." "Find 'panic at' in Envoy's log and report the place."
    VM_DEAD Error "vm-reload-failed" "A worker without a VM answers 503 or 403 to everything." "Restart Envoy; report what its log says."
    GUARD_REFUSED Warning "guard-refused" "The guard refuses what the filter has not seen: on some worker it was missing." "Look for the filter's errors in Envoy's log; restart Envoy."
    TABLE_MISSING Error "table-missing" "Without a key table every request with a key gets 503." "See the other findings about the sync."
    TABLE_EMPTY Warning "table-empty" "Every key gets 401." "Is it the right database? Start the control plane with the one that has your keys (FLAMEGATE_DATABASE, --database)."
    TABLE_OLD Error "table-old" "Revocations and new keys do not arrive." "See the other findings about the sync."
    TOKEN_REFUSED Error "sync-token-refused" "The control plane does not take this gateway's token." "Give Envoy the token that the control plane has (FLAMEGATE_SYNC_TOKEN), and restart it."
    NO_HOST Error "control-cluster-without-host" "Polls have nowhere to go." "Do the cluster's address and its name resolution lead to the control plane?"
    NO_CONNECTION Error "control-cluster-unreachable" "Polls do not arrive." "Is the control plane running, and does a firewall stand in between?"
    POLLS_CUT Warning "polls-cut" "Something between gateway and control plane ends polls before they are answered: revocations come later, and cost more polls." "Its time-out above sync.wait_seconds and 5 s (docs/deploy/checklist.md)."
    POLLS_FAILED Hint "polls-failed" "Now and then is normal: a restart of the control plane, for one." "Nothing, unless it grows."
    BEHIND Warning "gateway-behind" "It goes by keys that have changed since." "If it stays behind: is a worker stuck?"
    OTHER_HISTORY Error "other-database" "The gateway has a table that this control plane has not made: keys of one are refused while the other's table is there." "Most often the control plane was started with a wrong database (FLAMEGATE_DATABASE, --database), now or when the gateway took its table. When this is the right one, start it once with serve --init, or start Envoy again. Otherwise: is there a second control plane behind the cluster's name?"
    EARLIER Hint "earlier" "A counter remembers it until that program starts again." "Nothing, unless it comes back."
    UNKNOWN_GATEWAY Warning "gateway-unknown" "This control plane has not heard of it: its revocations do not wait for it." "Does the cluster lead to this control plane?"
    CLOCK Warning "clock" "Keys expire by the gateway's clock, and receipts are timed by the control plane's." "Let NTP set it."

    CONTROL_UNREACHABLE Error "control-unreachable" "No key can be made or revoked, and gateways get no changes." "Start it; or is --url (FLAMEGATE_CONTROL_URL) right?"
    CONTROL_NOT_READY Error "control-not-ready" "Its database cannot be written, or it is going down." "Look at its log: disk, permissions."
    CONTROL_VERSION Hint "control-version" "This program and the server are of different versions." "Use the program of the server."
    ADMIN_TOKEN Error "admin-token-refused" "Nothing can be asked of the control plane." "FLAMEGATE_ADMIN_TOKEN must be one of the server's tokens."
    NO_ADMIN_TOKEN Warning "admin-token-missing" "What the control plane knows of its gateways was not looked at." "Set FLAMEGATE_ADMIN_TOKEN."
    NO_GATEWAY Warning "no-gateway" "No gateway fetches keys from this control plane." "Does Envoy run with the sync, and does its cluster lead here?"
    STALE Error "gateway-stale" "It answers 503: its polls arrive and the answers do not." "Find what is in between (docs/deploy/checklist.md)."
    CUT_OFF Warning "gateway-cut-off" "It may still serve by an old table, and receipts of revocations name it." "If it is gone for good: flamegate-control gateways forget ID."
    NO_SESSION Hint "gateway-without-session" "Its acknowledgements can be forged by whoever has the token." "Update its filter."
    FOREIGN_EPOCHS Warning "foreign-epochs" "Gateways came with the table of another database; a few times after a restore is normal." "If it goes on, stop the second control plane."
    REFUSED_TOKENS Warning "refused-sync-tokens" "A gateway with a wrong token gets no keys; or somebody guesses." "The control plane's log has the addresses."

    TOKEN_FLAW Error "token-flaw" "The control plane does not start with such a token, or it can be guessed." "openssl rand -hex 32."
    TOKEN_FILE Error "token-file" "The control plane does not start, or goes on with the tokens that it had." "Write the token into the file, readable for its user."
    TOKEN_MODE Error "token-file-mode" "Others than its owner can use or change the token; the control plane does not start." "chmod 600; where a secret is mounted, mount it with mode 0400."
    TOKEN_MODE_OTHER Warning "token-file-of-another" "Everybody on this machine can read the token, or change it; the file is another user's, so the control plane starts." "Have its owner chmod 600 it, or 640 for a group."
    TOKENS_EQUAL Error "tokens-equal" "Whoever has a gateway's token could do everything; the control plane does not start." "Make another one: openssl rand -hex 32."
    DATABASE_MISSING Warning "database-missing" "A control plane that is started with this would begin an empty one." "Name the file by an absolute path in FLAMEGATE_DATABASE."
    DATABASE_OTHER Warning "database-elsewhere" "The server serves another database than the one that is named here: keys of one are unknown to the other." "Start the server with the file that is meant, by an absolute path (FLAMEGATE_DATABASE, --database)."
    DATABASE Error "database" "Keys may be lost or wrong." "flamegate-control restore of the latest backup; then revoke again what was revoked since."
}
