//! A gateway: keeps a table of hashes by sync protocol v1, and acknowledges what it has.

use std::collections::BTreeMap;
use std::time::Duration;

use flamegate::record::KeyRecord;
use flamegate::sync::wire::{ChangesQuery, Page};
use tokio::task::JoinHandle;

use super::{Control, PATIENCE, SYNC};

/// A gateway's state between two polls.
pub struct Gateway {
    http: reqwest::Client,
    base: String,
    pub query: ChangesQuery,
    pub table: BTreeMap<String, KeyRecord>,
    pub resets: u32,
    pub pages: u32,
}

impl Gateway {
    /// With an empty table.
    pub fn new(control: &Control, name: &str) -> Self {
        let query = ChangesQuery { gateway: name.to_owned(), limit: 500, ..ChangesQuery::default() };
        let (http, base) = (control.http.clone(), control.url(""));
        Self { http, base, query, table: BTreeMap::new(), resets: 0, pages: 0 }
    }

    /// The same gateway talking to a control plane that was restarted.
    pub fn reconnect(&mut self, control: &Control) {
        (self.http, self.base) = (control.http.clone(), control.url(""));
    }

    /// One request.
    pub async fn page(&mut self) -> reqwest::Result<Page> {
        let request = self.http.get(format!("{}{}", self.base, self.query.to_path())).bearer_auth(SYNC);
        let request = request.header("user-agent", "flamegate/9.8.7").timeout(PATIENCE);
        let bytes = request.send().await?.error_for_status()?.bytes().await?;
        self.pages += 1;
        Ok(Page::parse(&bytes).unwrap())
    }

    /// One poll: everything that is new, page by page.
    pub async fn poll(&mut self) -> reqwest::Result<()> {
        let mut reset = None;
        loop {
            let page = self.page().await?;
            if page.reset && reset.is_none() {
                reset = Some((page.epoch.clone(), page.revision));
                self.table.clear();
                self.resets += 1;
            }
            for hash in &page.removals {
                self.table.remove(&hash.0.to_hex());
            }
            let last = page.upserts.last().map(|upsert| upsert.hash.0);
            self.table.extend(page.upserts.into_iter().map(|upsert| (upsert.hash.0.to_hex(), upsert.record)));
            if reset.is_none() {
                self.query.after = page.revision;
            } else if page.more {
                self.query.cursor = last;
            }
            if !page.more {
                break;
            }
        }
        if let Some((epoch, revision)) = reset {
            (self.query.epoch, self.query.after, self.query.cursor) = (Some(epoch), revision, None);
        }
        Ok(())
    }

    /// Polls, without waiting, until it has everything and has acknowledged it.
    pub async fn catch_up(&mut self, control: &Control) {
        let wait = std::mem::take(&mut self.query.wait);
        while self.query.epoch.is_none() || self.query.after != control.revision() {
            self.poll().await.unwrap();
        }
        self.poll().await.unwrap();
        self.query.wait = wait;
    }

    /// Polls for ever, as a live gateway does.
    pub fn run(mut self) -> JoinHandle<()> {
        self.query.wait = 25;
        tokio::spawn(async move {
            while self.poll().await.is_ok() {
                // A filter's workers take about this long to follow.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
    }

    pub fn ids(&self) -> Vec<&str> {
        self.table.values().map(|record| record.id.as_str()).collect()
    }
}
