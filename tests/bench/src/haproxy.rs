//! HAProxy doing the same job, as what a user outside Envoy would pick: SHA-256, a map of the keys, a stick table for the
//! rate. One thread; the whole process is counted.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};

use crate::{keys::Key, process::free_port};

/// Writes the configuration, with the check of `keys` keys or without any; the command line and the port. `safe`: it passes on who is
/// calling, and not the key.
pub fn write(name: &str, folder: &Path, keys: Option<u32>, safe: bool) -> Result<(Vec<String>, u16)> {
    let port = free_port();
    let mut config = String::from("global\n  nbthread 1\n  maxconn 1000\ndefaults\n  mode http\n");
    config.push_str("  timeout client 600s\n  timeout connect 5s\n  timeout server 600s\n");
    write!(config, "frontend gateway\n  bind 127.0.0.1:{port}\n")?;
    if let Some(keys) = keys {
        let map = folder.join(format!("{name}.map"));
        fs::write(&map, key_map(keys)?)?;
        config.push_str(&check(&map, keys));
        if safe {
            config.push_str(IDENTITY);
        }
    }
    config.push_str("  http-request return status 200 content-type text/plain string ok\n");
    let path = folder.join(format!("{name}.cfg"));
    fs::write(&path, config)?;
    let line = [program()?, "-db", "-f", &path.display().to_string()].map(str::to_owned).to_vec();
    Ok((line, port))
}

/// The binary. Debian puts it where only root looks for programs.
pub fn program() -> Result<&'static str> {
    let places = ["/usr/sbin/haproxy", "/usr/bin/haproxy", "/usr/local/sbin/haproxy"];
    let found = places.into_iter().find(|path| Path::new(path).exists());
    found.context("HAProxy is not there: run `make bench-build`")
}

/// Hash to key id. HAProxy's `hex` writes capitals.
fn key_map(keys: u32) -> Result<String> {
    let mut map = String::new();
    for number in 0..keys {
        let key = Key::ordinary(number);
        writeln!(map, "{} {}", key.hash().to_hex().to_uppercase(), key.record().id)?;
    }
    Ok(map)
}

/// Requests in 60 s: out of reach for a client at full speed, so that what is measured is the check and not refusals.
const LIMIT: u32 = 100_000_000;

/// Who is calling goes on, and the key does not.
const IDENTITY: &str = "  http-request del-header authorization\n  http-request del-header x-flametalk- -m beg\n  \
                        http-request set-header x-flametalk-key-id %[var(txn.key)]\n";

fn check(map: &Path, keys: u32) -> String {
    let json = "content-type application/json string";
    format!(
        "  stick-table type string len 32 size {} expire 2m store http_req_rate(60s)\n\
         \x20 http-request return status 401 {json} missing unless {{ req.hdr(authorization) -m beg -i 'Bearer ' }}\n\
         \x20 http-request set-var(txn.key) \
         'req.hdr(authorization),word(2,\" \"),sha2(256),hex,map_str({})'\n\
         \x20 http-request return status 401 {json} invalid unless {{ var(txn.key) -m found }}\n\
         \x20 http-request track-sc0 var(txn.key)\n\
         \x20 http-request return status 429 {json} limited if {{ sc_http_req_rate(0) gt {LIMIT} }}\n",
        keys.max(1_000) * 2,
        map.display()
    )
}
