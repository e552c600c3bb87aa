//! Who gets a place, who has to go, and that nothing is left behind.

use crate::http::admission::connections::*;

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn credential(name: &str) -> Owner {
    Owner::Gateway(Credential::named(name))
}

/// True when the connection is to be closed.
async fn is_over(seat: &Seat) -> bool {
    tokio::select! { biased; () = seat.turned_away() => true, () = std::future::ready(()) => false }
}

#[tokio::test]
async fn strangers_replace_the_oldest_of_their_address_and_then_the_oldest_of_all() {
    let connections = Connections::new(Shares::of(100, false));
    let one: Vec<_> = (0..17).map(|_| connections.enter(address(1))).collect();
    assert!(is_over(&one[0]).await && !is_over(&one[1]).await, "half the room is sixteen");
    let others: Vec<_> = (2..19).map(|last| connections.enter(address(last))).collect();
    assert!(is_over(&one[1]).await && !is_over(&one[2]).await && !is_over(&others[0]).await);
    assert_eq!(connections.census(), Census { open: [32, 0, 0, 0], turned_away: 2 });
    drop((one, others));
    assert_eq!(connections.census().open, [0; 4]);
    assert!(connections.inner.lock().by_address.is_empty() && connections.inner.lock().seats.is_empty());
}

#[tokio::test]
async fn who_is_vouched_for_is_in_no_strangers_way_and_stays() {
    let connections = Connections::new(Shares::of(100, false));
    let gateways: Vec<_> = (0..90)
        .map(|_| connections.enter(address(1)))
        .zip(0..)
        .map(|(seat, number)| {
            seat.vouch(credential(if number < 60 { "eu" } else { "us" }));
            seat
        })
        .collect();
    let one_more = connections.enter(address(1));
    one_more.vouch(credential("eu"));
    assert_eq!(connections.census().open, [1, 0, 0, 90], "beyond its share it stays a stranger");
    let person = connections.enter(address(1));
    person.vouch(Owner::Person(1));
    let strangers: Vec<_> = (0..100).map(|_| connections.enter(address(1))).collect();
    assert!(is_over(&one_more).await && is_over(&strangers[0]).await && !is_over(&person).await);
    for gateway in &gateways {
        assert!(!is_over(gateway).await);
    }
    drop(gateways);
    assert_eq!(connections.census().open, [16, 1, 0, 0]);
}

#[tokio::test]
async fn one_owner_has_a_part_and_who_is_refused_is_a_stranger_again() {
    let connections = Connections::new(Shares::of(100, false));
    let all = |owner: &Owner, number: usize| -> Vec<_> {
        let seats = (0..number).map(|_| connections.enter(address(1)));
        seats.inspect(|seat| seat.vouch(owner.clone())).collect()
    };
    let stolen = all(&credential("stolen"), 90);
    let others = all(&credential("other"), 90);
    assert_eq!(connections.census().open[3], 90, "67 and 23");
    let person = all(&Owner::Person(1), 40);
    let operator = all(&Owner::Operator([1; 32]), 40);
    assert_eq!(connections.census().open, [16, 16, 24, 90]);
    person[0].disown();
    assert!(!is_over(&person[1]).await);
    assert_eq!(connections.census().open, [17, 15, 24, 90]);
    connections.disown(&credential("stolen"));
    assert_eq!(
        connections.census().open,
        [32, 15, 24, 23],
        "what the strangers' room has no place for is closed"
    );
    assert!(is_over(&stolen[0]).await && is_over(&stolen[40]).await);
    drop((stolen, others, person, operator));
    let state = connections.inner.lock();
    assert!(state.seats.is_empty() && state.by_owner.is_empty() && state.by_address.is_empty());
}

#[tokio::test]
async fn behind_a_proxy_one_address_has_the_whole_room() {
    let connections = Connections::new(Shares::of(100, true));
    let seats: Vec<_> = (0..33).map(|_| connections.enter(address(1))).collect();
    assert!(is_over(&seats[0]).await && !is_over(&seats[1]).await);
}

#[tokio::test]
async fn a_stranger_that_rests_goes_first_and_one_that_has_just_come_does_not() {
    let connections = Connections::new(Shares::of(100, true));
    let mut seats: Vec<_> = (0..32).map(|_| connections.enter(address(1))).collect();
    // All of a flood may be at work: who has just come is still behind them.
    seats[..31].iter().for_each(Seat::works);
    let _another = connections.enter(address(2));
    assert!(is_over(&seats[0]).await && !is_over(&seats[31]).await);
    for resting in [20, 10] {
        seats[resting].rests();
    }
    for (next, gone) in [(3, 10), (4, 20), (5, 1)] {
        seats.push(connections.enter(address(next)));
        assert!(is_over(&seats[gone]).await, "{gone}");
    }
    // Who shows something meanwhile rests as somebody else.
    seats[2].rests();
    seats[2].vouch(Owner::Person(1));
    seats[2].rests();
    seats.extend([6, 7].map(|last| connections.enter(address(last))));
    assert!(is_over(&seats[3]).await && !is_over(&seats[2]).await);
    seats[4].rests();
    seats[4].works();
    drop(seats);
    let state = connections.inner.lock();
    assert!(state.resting.is_empty() && state.strangers.len() == 1);
}
