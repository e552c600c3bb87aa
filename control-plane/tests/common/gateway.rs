//! A gateway: keeps a table of hashes by sync protocol v1, and acknowledges what it has.

use std::collections::BTreeMap;
use std::time::Duration;

use flamegate::contract::page::{ChangesQuery, Page};
use flamegate::contract::record::KeyRecord;
use flamegate::contract::session::SESSION_HEADER;
use tokio::task::JoinHandle;

use super::{Control, PATIENCE, SYNC};

/// A gateway's state between two polls.
pub struct Gateway {
    http: reqwest::Client,
    pub base: String,
    /// The bearer token that it shows.
    pub token: String,
    /// Its process's session, 32 hexadecimal digits; `None` for a filter of before sessions.
    pub session: Option<String>,
    pub query: ChangesQuery,
    pub table: BTreeMap<String, KeyRecord>,
    pub resets: u32,
    pub pages: u32,
}

impl Gateway {
    /// With an empty table.
    pub fn new(control: &Control, name: &str) -> Self {
        Self::at(control.http.clone(), control.url(""), name)
    }

    /// The same at the address of a program.
    pub fn at(http: reqwest::Client, base: String, name: &str) -> Self {
        let query = ChangesQuery { gateway: name.to_owned(), limit: 500, ..ChangesQuery::default() };
        let token = SYNC.to_owned();
        let session = Some(random_session());
        Self { http, base, token, session, query, table: BTreeMap::new(), resets: 0, pages: 0 }
    }

    /// The same gateway talking to a control plane that was restarted.
    pub fn reconnect(&mut self, control: &Control) {
        (self.http, self.base) = (control.http.clone(), control.url(""));
    }

    /// The same gateway talking to another control plane.
    pub fn move_to(&mut self, base: &str) {
        base.clone_into(&mut self.base);
    }

    /// One with another token.
    pub fn with_token(control: &Control, token: &str, name: &str) -> Self {
        Self { token: token.to_owned(), ..Self::new(control, name) }
    }

    /// A filter of before sessions and tags.
    pub fn old(control: &Control, name: &str) -> Self {
        Self { session: None, ..Self::new(control, name) }
    }

    /// What it sends.
    pub fn request(&self) -> reqwest::RequestBuilder {
        let request =
            self.http.get(format!("{}{}", self.base, self.query.to_path())).bearer_auth(&self.token);
        let request = request.header("user-agent", "flamegate/9.8.7").timeout(PATIENCE);
        match &self.session {
            Some(session) => request.header(SESSION_HEADER, session),
            None => request,
        }
    }

    /// One request.
    pub async fn page(&mut self) -> reqwest::Result<Page> {
        let bytes = self.request().send().await?.error_for_status()?.bytes().await?;
        self.pages += 1;
        Ok(Page::parse(&bytes).unwrap())
    }

    /// One poll: everything that is new, page by page.
    pub async fn poll(&mut self) -> reqwest::Result<()> {
        let mut reset = None;
        loop {
            let page = self.page().await?;
            if page.reset && reset.is_none() {
                reset = Some((page.epoch.clone(), page.revision, page.tag.clone()));
                self.table.clear();
                self.resets += 1;
            }
            for hash in &page.removals {
                self.table.remove(&hash.0.to_hex());
            }
            let last = page.upserts.last().map(|upsert| upsert.hash.0);
            self.table.extend(page.upserts.into_iter().map(|upsert| (upsert.hash.0.to_hex(), upsert.record)));
            if reset.is_none() {
                (self.query.after, self.query.tag) = (page.revision, self.kept(page.tag));
            } else if page.more {
                self.query.cursor = last;
            }
            if !page.more {
                break;
            }
        }
        if let Some((epoch, revision, tag)) = reset {
            (self.query.epoch, self.query.after, self.query.cursor) = (Some(epoch), revision, None);
            self.query.tag = self.kept(tag);
        }
        Ok(())
    }

    /// What a filter keeps of a tag: one that has no session has none either.
    fn kept(&self, tag: Option<String>) -> Option<String> {
        tag.filter(|_| self.session.is_some())
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

/// Another one each time.
pub fn random_session() -> String {
    (0..2).map(|_| format!("{:016x}", flamegate::host::random_u64())).collect()
}
