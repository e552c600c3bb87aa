//! A page of the sync: any bytes are either refused, with an error that repeats nothing, or are applied so that the table is
//! exactly the page; and pages made of the input, one after the other, leave what a plain map says.

use std::collections::BTreeMap;

use flamegate::contract::key::{Environment, KeyHash};
use flamegate::contract::page::{ChangesQuery, Page, Upsert, WireHash};
use flamegate::contract::record::KeyRecord;
use flamegate::host::Clock as _;
use flamegate::host::fake::FakeHost;
use flamegate::table;
use flamegate::table::status::Status;
use flamegate::table::tag;
use flamegate::table::writer::TableWriter;

use crate::input::Input;

/// The first byte says whether the rest is a page as it came from the network or a recipe for several.
pub fn page(input: &[u8]) {
    let (kind, rest) = input.split_first().unwrap_or((&0, &[]));
    if kind.is_multiple_of(2) { received(rest) } else { history(&mut Input(rest)) }
}

fn received(bytes: &[u8]) {
    let page = match Page::parse(bytes) {
        Ok(page) => page,
        Err(error) => {
            assert!(!error.is_empty() && error.len() < 300 && !error.contains('\n'), "{error}");
            return;
        }
    };
    let json = serde_json::to_vec(&page).expect("a page is JSON");
    assert_eq!(Page::parse(&json).as_ref(), Ok(&page), "another page after writing and reading");
    let host = FakeHost::at(1_000);
    keep_tag(&host, &page);
    let mut writer = TableWriter::default();
    let mut model = BTreeMap::new();
    if page.reset {
        writer.apply_reset(&host, &page, None, host.now()).expect("a first page");
        if !page.more {
            model.extend(page.upserts.iter().map(|upsert| (upsert.hash.0, upsert.record.clone())));
            compare(&host, &model);
        }
    } else {
        assert!(writer.apply_difference(&host, &page, host.now()).is_err(), "a difference to no table");
        let empty =
            Page { reset: true, more: false, upserts: Vec::new(), removals: Vec::new(), ..page.clone() };
        writer.apply_reset(&host, &empty, None, host.now()).expect("an empty table");
        writer.apply_difference(&host, &page, host.now()).expect("a difference");
        apply(&mut model, &page);
        compare(&host, &model);
    }
}

/// Up to 24 pages of changes among 64 keys (which share a few buckets), with a few whole tables in between.
fn history(input: &mut Input<'_>) {
    let host = FakeHost::at(1_000);
    let mut writer = TableWriter::default();
    let mut model = BTreeMap::new();
    let mut page = Page {
        epoch: "e".into(),
        revision: 1,
        tag: None,
        more: false,
        reset: true,
        plans: BTreeMap::new(),
        upserts: Vec::new(),
        removals: Vec::new(),
    };
    writer.apply_reset(&host, &page, None, host.now()).expect("an empty table");
    while !input.is_empty() && page.revision < 24 {
        page.revision += 1;
        page.reset = input.byte() > 240;
        page.tag = page.revision.is_multiple_of(3).then(|| format!("t_{}", page.revision));
        keep_tag(&host, &page);
        page.upserts.clear();
        page.removals.clear();
        let count = if page.reset { 40 } else { input.byte() % 8 };
        for _ in 0..count {
            let (key, what) = (input.byte() % 64, input.byte());
            if what.is_multiple_of(3) && !page.reset {
                page.removals.push(WireHash(hash(key)));
            } else {
                page.upserts.push(Upsert { hash: WireHash(hash(key)), record: record(key, what) });
            }
        }
        // A page has no hash twice: that is refused when it is read.
        page.upserts.sort_by_key(|upsert| upsert.hash);
        page.upserts.dedup_by_key(|upsert| upsert.hash);
        if page.reset {
            model.clear();
            writer.apply_reset(&host, &page, None, host.now()).expect("a table");
        } else {
            writer.apply_difference(&host, &page, host.now()).expect("a difference");
        }
        apply(&mut model, &page);
        let _ = writer.housekeeping(&host, true);
        host.advance_ns(1_000_000);
        compare(&host, &model);
    }
}

/// A tag that was accepted is kept as it is, goes into a path as it is, and speaks for its own position only.
fn keep_tag(host: &FakeHost, page: &Page) {
    let Some(text) = &page.tag else { return };
    tag::write(host, &page.epoch, page.revision, text).expect("the host works");
    assert_eq!(tag::read(host, &page.epoch, page.revision).as_ref(), Ok(&page.tag));
    assert_eq!(tag::read(host, &page.epoch, page.revision ^ 1), Ok(None), "another revision's tag");
    let query = ChangesQuery { tag: page.tag.clone(), ..ChangesQuery::default() };
    assert!(query.to_path().ends_with(&format!("&tag={text}")), "{}", query.to_path());
}

/// What a page means: upserts, then removals.
fn apply(model: &mut BTreeMap<KeyHash, KeyRecord>, page: &Page) {
    model.extend(page.upserts.iter().map(|upsert| (upsert.hash.0, upsert.record.clone())));
    for removal in &page.removals {
        model.remove(&removal.0);
    }
}

fn compare(host: &FakeHost, model: &BTreeMap<KeyHash, KeyRecord>) {
    let status = Status::read(host).expect("the host works").expect("a table");
    assert_eq!(status.keys, model.len() as u64, "the number of keys");
    let unknown = (0..64).map(hash).filter(|hash| !model.contains_key(hash));
    for (hash, record) in model {
        let found = table::find(host, &status, hash).expect("the table can be read");
        assert_eq!(found.record().as_ref(), Some(record));
    }
    for hash in unknown {
        let found = table::find(host, &status, &hash).expect("the table can be read");
        assert_eq!(found.record(), None, "a key that was removed");
    }
}

/// Keys that differ in their first bits (the bucket) and in their last byte (the summary).
fn hash(key: u8) -> KeyHash {
    let mut bytes = [0; 32];
    (bytes[0], bytes[31]) = (key << 5, key);
    KeyHash(bytes)
}

fn record(key: u8, what: u8) -> KeyRecord {
    let environment = if what.is_multiple_of(2) { Environment::Live } else { Environment::Test };
    let record = KeyRecord::new(format!("key_{key}_{what}"), "ws".into(), environment);
    KeyRecord { expires_at: (what > 128).then_some(u64::from(what)), ..record }
}
