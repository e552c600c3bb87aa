//! Whose request it is, for the ways in which configurations come and go. A state is a name here, and a stream is known by the
//! marks that it has.

use std::cell::Cell;

use super::Roots;

/// Roots 1, 2, … with these configurations; each one's state is its number.
fn roots(configurations: &[&str]) -> (Roots<u32>, Vec<String>) {
    let mut roots = Roots::new();
    let mut marks = Vec::new();
    for (id, configuration) in (1..).zip(configurations) {
        roots.add(id, id);
        marks.push(roots.configured(id, configuration.as_bytes()).expect("a mark").to_owned());
    }
    (roots, marks)
}

fn never(_: &str) -> bool {
    panic!("nothing to ask for");
}

#[test]
fn without_a_root_nobody_decides() {
    assert_eq!(Roots::<u32>::new().of_stream(never), None);
}

#[test]
fn one_configuration_is_not_asked_for_and_the_newest_of_equals_decides() {
    assert_eq!(roots(&["a"]).0.of_stream(never), Some(&1));
    assert_eq!(roots(&["a", "a", "a"]).0.of_stream(never), Some(&3));
}

#[test]
fn among_different_configurations_the_mark_decides() {
    let (roots, marks) = roots(&["a", "b", "a"]);
    for (mark, id) in marks.iter().zip(1..) {
        assert_eq!(roots.of_stream(|asked| asked == mark), Some(&id));
    }
    assert_eq!(roots.of_stream(|_| false), None);
    assert_eq!(roots.of_stream(|_| true), Some(&3), "the newest is asked first");
}

#[test]
fn marks_cannot_be_taken_for_each_other() {
    let (one, other) = (roots(&["a", "a"]).1, roots(&["a", "a"]).1);
    assert_ne!(one[0], one[1]);
    assert_ne!(one[0], other[0], "not only a number");
}

#[test]
fn a_root_without_a_configuration_differs_from_those_with_one() {
    let (mut roots, marks) = roots(&["a"]);
    roots.add(2, 2);
    assert_eq!(roots.of_stream(|mark| mark == marks[0]), Some(&1));
    assert_eq!(roots.of_stream(|_| false), None);
}

#[test]
fn a_configuration_that_changes_is_compared_anew() {
    let (mut roots, marks) = roots(&["a", "b"]);
    assert_eq!(roots.configured(2, b"a"), Some(&*marks[1]), "the mark stays");
    assert_eq!(roots.of_stream(never), Some(&2));
    assert!(roots.configured(3, b"a").is_none(), "never added");
}

#[test]
fn when_the_last_different_one_goes_nobody_is_asked_any_more() {
    let (mut roots, _) = roots(&["a", "b", "a"]);
    assert_eq!(roots.remove(2), None, "no other one has its configuration");
    assert_eq!(roots.of_stream(never), Some(&3));
}

#[test]
fn the_newest_equal_one_inherits() {
    let (mut roots, _) = roots(&["a", "a", "b", "a"]);
    assert_eq!(roots.remove(4), Some(2));
    assert_eq!(roots.remove(2), Some(1));
    assert_eq!(roots.remove(1), None);
    assert_eq!(roots.remove(1), None, "it is gone already");
    assert!(!roots.contains(1) && roots.contains(3));
}

#[test]
fn a_root_alone_is_not_asked_for_and_of_several_those_that_are_gone_are_missing() {
    assert!(roots(&["a"]).0.missing(|_| panic!("who asks is there")).is_empty());
    let (mut several, _) = roots(&["a", "b", "a"]);
    let asked = Cell::new(0);
    let gone = several.missing(|id| {
        asked.set(asked.get() + 1);
        id == 2
    });
    assert_eq!((gone, asked.get()), (vec![1, 3], 3));
    several.remove(2);
    assert!(several.missing(|_| true).is_empty());
    assert_eq!(several.states().copied().collect::<Vec<_>>(), [1, 3]);
}
