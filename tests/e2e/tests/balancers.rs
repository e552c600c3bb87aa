//! A balancer between gateway and control plane that cuts polls before they are held to the end. When nothing changes, no
//! answer would ever arrive, and the table would become too old.

use std::time::Duration;

use flamegate_e2e::{
    Control, Envoy, Plugin, Request,
    control::NewKey,
    envoy::Upstreams,
    eventually,
    middlebox::{Cut, Middlebox, Seen},
    process::Folder,
    upstream::Upstream,
};
use serde_json::{Value, json};

struct Site {
    envoy: Envoy,
    balancer: Middlebox,
    control: Control,
    key: NewKey,
    _upstream: Upstream,
    _folder: Folder,
}

/// A gateway that has its table, which may be so old, behind a balancer that cuts polls.
fn site(name: &str, cut: Cut, life: Duration, max_staleness_seconds: u64) -> Site {
    let folder = Folder::new(name);
    let upstream = Upstream::start(&folder);
    let mut control = Control::prepare(&folder);
    control.start();
    control.create_workspace("e2e");
    let limits = json!([{"requests": 1_000_000, "window_seconds": 60}]);
    let key = control.create_key("e2e", "live", json!({"limits": limits}));
    let balancer = Middlebox::start(control.port, (cut, life), Duration::ZERO);
    let upstreams = Upstreams { upstream: upstream.port, control: balancer.port };
    let plugin = Plugin::singleton(json!({"max_staleness_seconds": max_staleness_seconds}));
    let envoy = Envoy::start("envoy", &folder, &plugin, upstreams);
    let site = Site { envoy, balancer, control, key, _upstream: upstream, _folder: folder };
    eventually("the table is there", || site.ask().expect_status(200));
    site
}

impl Site {
    fn ask(&self) -> flamegate_e2e::Answer {
        self.envoy.send(&Request::get("/v1/agents").bearer(&self.key.key))
    }

    /// The polls that the balancer has seen end. Usage goes another way.
    fn polls(&self) -> Vec<Seen> {
        let seen = self.balancer.seen();
        seen.into_iter().filter(|seen| seen.path.starts_with("/sync/v1/changes")).collect()
    }

    fn gateway(&self) -> Value {
        self.control.data("GET", "/v1/gateways", None)[0].clone()
    }
}

/// The seconds that a poll may be held for.
fn wait(poll: &Seen) -> u64 {
    let text = poll.path.split("&wait=").nth(1).and_then(|rest| rest.split('s').next());
    text.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{}", poll.path))
}

fn a_gateway_learns_how_long_polls_live(name: &str, cut: Cut) {
    const STALENESS: u64 = 120;
    let site = site(name, cut, Duration::from_secs(2), STALENESS);
    let polls = eventually("two polls are held to their end after one was cut", || {
        assert_eq!(site.ask().status, 200);
        let seen = site.polls();
        let after = seen.iter().skip_while(|poll| poll.status.is_some());
        if after.filter(|poll| poll.status == Some(200)).count() >= 2 {
            Ok(seen)
        } else {
            Err(format!("{seen:?}"))
        }
    });
    // One of a second may be cut, too, on a machine that takes another second for it.
    let cut: Vec<u64> = polls.iter().filter(|poll| poll.status.is_none()).map(wait).collect();
    assert!(cut[0] == 5 && cut[1..].iter().all(|wait| *wait == 1), "one was enough: {polls:?}");
    assert_eq!(wait(polls.last().expect("a poll")), 1);
    let age = site.envoy.metrics().value("flamegate_table_age_seconds");
    assert!(age.is_some_and(|age| age < STALENESS as f64), "{age:?}");
}

#[test]
fn a_balancer_that_answers_504_is_learned() {
    a_gateway_learns_how_long_polls_live("balancer-504", Cut::Answer504);
}

#[test]
fn a_balancer_that_closes_connections_is_learned() {
    a_gateway_learns_how_long_polls_live("balancer-close", Cut::Close);
}

#[test]
fn a_balancer_that_swallows_polls_is_learned() {
    a_gateway_learns_how_long_polls_live("balancer-swallow", Cut::Swallow);
}

/// No answer arrives, so clients get 503 in the end: the control plane, which sees the polls, must not call that up to date.
#[test]
fn a_gateway_that_refuses_because_its_table_is_too_old_is_not_up_to_date() {
    let site = site("balancer-no-answer", Cut::Never, Duration::ZERO, 15);
    site.balancer.set((Cut::Answer504, Duration::from_nanos(1)));
    let refused = eventually("the table is too old", || site.ask().expect_status(503));
    assert_eq!(refused.code().as_deref(), Some("UNAVAILABLE"));
    eventually("the control plane knows", || {
        let gateway = site.gateway();
        let is = (&gateway["connected"], &gateway["stale"], &gateway["acknowledged_revision"]);
        if is == (&json!(true), &json!(true), &Value::Null) { Ok(()) } else { Err(gateway.to_string()) }
    });
    site.balancer.set((Cut::Never, Duration::ZERO));
    eventually("an answer has arrived", || site.ask().expect_status(200));
    eventually("it is up to date again", || {
        let gateway = site.gateway();
        if gateway["stale"] == false && gateway["behind"] == 0 { Ok(()) } else { Err(gateway.to_string()) }
    });
}

/// No poll that is held lives long enough. Once requests are refused, polls are not held any more, and an answer arrives.
#[test]
fn polls_that_are_cut_within_a_second_are_not_held_once_the_table_is_too_old() {
    let site = site("balancer-too-short", Cut::Held504, Duration::from_millis(700), 15);
    eventually("the table is too old", || site.ask().expect_status(503));
    eventually("an answer has arrived", || site.ask().expect_status(200));
    let seen = site.polls();
    let asked = seen.iter().filter(|poll| poll.path.contains("&stale=true"));
    let asked: Vec<_> = asked.map(|poll| (poll.status, wait(poll))).collect();
    assert!(asked.contains(&(Some(200), 0)), "{seen:?}");
}
