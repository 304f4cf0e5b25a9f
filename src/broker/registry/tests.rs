//! Is a circle of dead letters found, by whatever way, and nothing else taken for one?

use proptest::prelude::*;

use super::*;

fn name(at: u8) -> Name {
    Name::new(&format!("t{at}")).unwrap()
}

fn links(pairs: &[(u8, u8)]) -> Links {
    let mut links = Links::new();
    for (from, to) in pairs {
        // A group for each.
        links.entry(name(*from)).or_default().insert(name(*to), name(*to));
    }
    links
}

proptest! {
    #[test]
    fn a_way_is_found_if_there_is_one_and_is_one(
        pairs in prop::collection::vec((0..7_u8, 0..7_u8), 0..14),
        from in 0..7_u8,
        to in 0..7_u8,
    ) {
        let links = links(&pairs);
        let mut reached = BTreeSet::from([from]);
        for _ in 0..7 {
            let next: Vec<u8> = pairs.iter().filter(|(a, _)| reached.contains(a)).map(|(_, b)| *b).collect();
            reached.extend(next);
        }
        let found = path(&links, &name(from), &name(to));
        prop_assert_eq!(found.is_some(), reached.contains(&to));
        if let Some(way) = found {
            prop_assert_eq!((way.first(), way.last()), (Some(&name(from)), Some(&name(to))));
            prop_assert!(way.windows(2).all(|step| links[&step[0]].contains_key(&step[1])));
        }
    }
}

#[test]
fn a_topic_is_its_own_circle() {
    assert_eq!(path(&links(&[]), &name(1), &name(1)), Some(vec![name(1)]));
}

/// Each layer doubles the ways; each topic is looked at once.
#[test]
fn many_ways_through_the_same_topics_are_not_all_walked() {
    let pairs: Vec<(u8, u8)> = (0..60)
        .flat_map(|at| {
            [(2 * at, 2 * at + 2), (2 * at, 2 * at + 3), (2 * at + 1, 2 * at + 2), (2 * at + 1, 2 * at + 3)]
        })
        .collect();
    assert_eq!(path(&links(&pairs), &name(0), &name(200)), None);
}
