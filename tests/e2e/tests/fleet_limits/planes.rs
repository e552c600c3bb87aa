//! One of two control planes dies while both lend.

use flamegate_e2e::{envoy::SYNC_TOKEN, eventually};
use flamegate_engines::Redis;
use serde_json::json;

use super::world::{SLOW_BURST, World};

#[test]
fn one_of_two_control_planes_dies_while_both_lend_and_what_it_lent_counts() {
    let mut engine = Redis::start();
    let mut world = World::start("fleet-planes", &engine.url());
    let load = world.load.clone();
    load.during(|| {
        load.await_tokens(10);
        for control in [0, 1] {
            let before = world.lent(control);
            eventually("each control plane lends", || {
                let lent = world.lent(control);
                if lent > before { Ok(()) } else { Err(format!("{control}: {lent} tokens")) }
            });
        }
        // Both say no for a while, and leave the proxies' turn for 30 seconds, so that neither has: all are asked then, dead or not.
        engine.kill();
        world.await_mode(2.0);
        engine.start_again();
        world.await_mode(1.0);
        let key = world.slow_key(0, "refuse");
        // A gateway that dies with the one that has lent it something.
        let ask = json!({"owner": key.id, "scope": "key", "name": "default", "want": 5});
        let call = json!({"gateway": "hand-made", "asks": [ask]});
        let control = &world.fleet.controls[0];
        let answer = control.call_with(SYNC_TOKEN, "POST", "/sync/v1/leases", Some(&call));
        assert_eq!(answer.json()["grants"][0]["tokens"], 5, "{}", answer.text());
        world.fleet.controls[0].kill();
        // Whether they are still out or have ended meanwhile, nobody else gets them.
        assert_eq!(world.book(1, &key).map(|(left, _)| left), Ok(SLOW_BURST - 5));
        let mut admitted = 0;
        eventually("the other one lends the rest, and no more", || {
            admitted += [0, 1].map(|gateway| u64::from(world.ask(gateway, &key) == 200)).iter().sum::<u64>();
            assert!(admitted <= SLOW_BURST - 5, "{admitted} of {}", SLOW_BURST - 5);
            // What a call to the dead one gave back is lost.
            match world.book(1, &key)? {
                (0, 0) => Ok(()),
                book => Err(format!("{book:?} left and lent, {admitted} admitted")),
            }
        });
        println!("{admitted} of {} that the dead one had not lent were admitted", SLOW_BURST - 5);
        assert!(admitted > 0, "none");
        let before = world.lent(1);
        load.await_tokens(30);
        assert!(world.lent(1) > before, "by the other one");
        world.await_mode(1.0);
    });
    // Twice for the engine, and now and then when a poll comes between the two tries; without a second try ten times a second.
    for envoy in &world.gateways {
        let times = envoy.log().matches("tokens of fleet limits are lent again").count();
        println!("{times} times lent again");
        assert!(times <= 20, "{times} times lent again");
    }
    load.judge();
}
