//! Is all saved that is whole, and is told what is not?

use super::*;

type Contents = BTreeMap<String, Records>;

fn save(disk: &SimDisk) -> Salvaged {
    let before = bytes(disk);
    let saved = salvage(&vfs(disk), dir(), Path::new(TO), 77).unwrap();
    assert!(bytes(disk) == before, "salvaging changed what it saved from");
    saved
}

/// The records of the saved log that are no fillers.
fn saved_contents(disk: &SimDisk) -> (State, Contents) {
    let (state, read) = opened(disk, TO).unwrap();
    let names = state.topics.values().map(|topic| topic.name.clone());
    let mut contents: Contents = names.zip(read).collect();
    contents.values_mut().for_each(|records| records.retain(|_, body| body != LOST));
    (state, contents)
}

fn contents() -> Contents {
    let records = |topic: u32, next: u64| (0..next).map(|at| (at, body(topic, at))).collect();
    [("orders".into(), records(0, 60)), ("mails".into(), records(1, 20))].into()
}

fn lost(saved: &Salvaged) -> BTreeSet<(String, u64)> {
    let offsets = |given: &GivenUp| match given {
        GivenUp::Records { topic, offsets } => {
            offsets.clone().map(|offset| (topic.clone(), offset)).collect::<Vec<_>>()
        }
        _ => Vec::new(),
    };
    saved.given_up.iter().flat_map(offsets).collect()
}

fn missing(contents: &Contents, saved: &Contents) -> BTreeSet<(String, u64)> {
    let offsets = |(topic, records): (&String, &Records)| {
        let there = saved.get(topic).cloned().unwrap_or_default();
        let gone = records.iter().filter(|(at, body)| there.get(at) != Some(*body));
        gone.map(|(at, _)| (topic.clone(), *at)).collect::<Vec<_>>()
    };
    contents.iter().flat_map(offsets).collect()
}

#[test]
fn of_a_whole_log_all_is_saved() {
    let disk = clean();
    let (mut before, read) = opened(&disk.durable_copy(), DIR).unwrap();
    let saved = save(&disk);
    assert_eq!((saved.given_up.as_slice(), saved.damage.as_slice()), (&[][..], &[][..]));
    assert_eq!(saved.topics.iter().map(|topic| topic.records).collect::<Vec<_>>(), [60, 20]);
    let (mut after, saved_read) = opened(&disk, TO).unwrap();
    assert_eq!(saved_read, read);
    for state in [&mut before, &mut after] {
        state.slots = 0;
        state.topics.values_mut().for_each(|topic| topic.segments.clear());
    }
    assert_eq!(after, before);
}

#[test]
fn it_is_saved_into_an_empty_directory_and_no_other() {
    let disk = clean();
    disk.write_file("/data/saved/notes", "mine").unwrap();
    let saved = salvage(&vfs(&disk), dir(), Path::new(TO), 1);
    assert!(matches!(saved, Err(LogError::NotALog { .. })), "{saved:?}");
    let saved = salvage(&vfs(&disk), dir(), &dir().join("saved"), 1);
    assert!(matches!(saved, Err(LogError::Invalid { .. })), "{saved:?}");
    assert_eq!(disk.read_file("/data/saved/notes").unwrap(), b"mine");
}

#[test]
fn whatever_byte_is_flipped_only_its_frame_is_lost_and_it_is_told() {
    let disk = clean();
    let contents = contents();
    let (mut exact, mut free) = (0, 0);
    for (count, (path, at)) in places(&disk).into_iter().enumerate().filter(|(count, _)| count % 23 == 0) {
        let flipped = disk.durable_copy();
        flipped.flip(&path, at, 1 << (count / 23 % 8)).unwrap();
        let saved = save(&flipped);
        let (state, kept) = saved_contents(&flipped);
        let (missing, lost) = (missing(&contents, &kept), lost(&saved));
        let place = format!("{path:?} {at}: {saved:?}");
        assert!(missing.len() <= 4, "one frame's records at most: {place}");
        if missing == lost {
            exact += 1;
            free += u32::from(missing.is_empty());
        } else {
            // The last frame of its topic: nothing behind it tells how many records it had.
            let is_told = saved.given_up.iter().any(|given| matches!(given, GivenUp::Frames { .. }));
            assert!(lost.is_empty() && (is_told || saved.torn.is_some()), "{missing:?} {place}");
        }
        let topics = saved.topics.iter().zip(state.topics.values());
        assert!(topics.clone().count() == 2 || !saved.given_up.is_empty(), "{place}");
        for (told, topic) in topics {
            assert_eq!((told.floor, told.next), (topic.floor, topic.next), "{place}");
            let fillers = saved_fillers(&flipped, &told.name);
            assert_eq!(fillers.len() as u64, told.fillers, "{place}");
            let settled = |group: &GroupState| fillers.iter().all(|at| group.done.contains(*at));
            assert!(topic.groups.values().all(settled), "{place}");
        }
    }
    assert!(exact > 150 && free > 20, "{exact} {free}");
}

fn saved_fillers(disk: &SimDisk, topic: &str) -> Vec<u64> {
    let mut fillers = Vec::new();
    let damage = dump(&vfs(disk), Path::new(TO), topic, .., &mut |record| {
        fillers.extend((record.body == LOST).then_some(record.offset));
        ControlFlow::Continue(())
    });
    assert_eq!(damage.unwrap(), []);
    fillers
}

#[test]
fn a_lost_frame_in_the_middle_is_stood_in_for_and_the_log_goes_on() {
    let disk = clean();
    let survey = Survey::of(&vfs(&disk), dir()).unwrap();
    let data = |at: &&(usize, slots::Found)| at.1.header.topic == 0 && at.1.header.offset == 44;
    let found = survey.later().find(data).unwrap().1;
    disk.flip(layout::slot_path(&layout::journal(dir()), 0), found.at + 70, 8).unwrap();
    assert!(matches!(opened(&disk.durable_copy(), DIR), Err(LogError::Corrupt(_))));
    let saved = save(&disk);
    let lsn = found.header.lsn;
    let (slot, end) = (layout::slot_path(&layout::journal(dir()), 0), found.at + found.len as u64);
    let expected = [
        GivenUp::Frames { lsns: lsn..lsn + 1, place: Some((slot, found.at..end)) },
        GivenUp::Records { topic: "orders".into(), offsets: 44..48 },
    ];
    assert_eq!(saved.given_up, expected);
    assert_eq!((saved.topics[0].records, saved.topics[0].fillers), (56, 4));
    let mut log = Hand::open(vfs(&disk), Path::new(TO), small(9)).unwrap();
    let billing = &log.writer.state.topics[&0].groups[&0];
    assert!([0, 5, 44, 47, 50].iter().all(|at| billing.done.contains(*at)), "{billing:?}");
    assert!([3, 8, 43, 48].iter().all(|at| !billing.done.contains(*at)), "{billing:?}");
    assert_eq!(billing.notes[&8].attempts, 2);
    append(&mut log, 0, 60, 64);
    (0..200).for_each(|at| append(&mut log, 1, 20 + at, 21 + at));
    log.turn().unwrap();
    log.close().unwrap();
    let (_, kept) = saved_contents(&disk);
    assert_eq!((kept["orders"].len(), kept["mails"].len()), (60, 220));
    let verified = verify(&vfs(&disk), Path::new(TO), &mut |_, _| ()).unwrap();
    assert_eq!((verified.inspection.damage.as_slice(), verified.records), (&[][..], 284));
}

#[test]
fn without_a_checkpoint_all_records_are_saved() {
    for missing in [false, true] {
        let disk = clean();
        match missing {
            true => disk.remove(layout::checkpoint(dir())).unwrap(),
            false => disk.flip(layout::checkpoint(dir()), 100, 1).unwrap(),
        }
        let saved = save(&disk);
        assert!(matches!(saved.given_up[..], [GivenUp::Checkpoint { .. }]), "{:?}", saved.given_up);
        let (state, kept) = saved_contents(&disk);
        assert_eq!(kept, contents());
        let orders = &state.topics[&0];
        assert_eq!((orders.terms.about.as_slice(), orders.terms.keeps), (&b"about"[..], true));
        let billing = orders.groups.values().next().unwrap();
        assert_eq!(billing.name, "billing");
        assert!(billing.done.contains(51) && billing.done.contains(0));
    }
}

#[test]
fn without_a_checkpoint_and_a_journal_segments_are_saved() {
    let disk = clean();
    for (path, _) in disk.files() {
        if !path.starts_with(layout::topics(dir())) {
            disk.remove(&path).unwrap();
        }
    }
    let saved = save(&disk);
    assert_eq!(
        saved.topics.iter().map(|topic| (topic.name.as_str(), topic.records)).collect::<Vec<_>>(),
        [("orders", 40)]
    );
    assert_eq!(saved_contents(&disk).1["orders"].len(), 40);
}

#[test]
fn a_missing_segment_and_a_missing_slot_are_told() {
    let disk = clean();
    disk.remove(segment_file()).unwrap();
    let saved = save(&disk);
    // The journal has them still, in the part that is of no more use.
    assert_eq!((saved.given_up.len(), saved_contents(&disk).1), (0, contents()));

    let disk = clean();
    disk.remove(layout::slot_path(&layout::journal(dir()), 0)).unwrap();
    let saved = save(&disk);
    assert_eq!(saved.topics.iter().map(|topic| topic.records).collect::<Vec<_>>(), [40, 0]);
    assert!(!saved.damage.is_empty());
}

#[test]
fn a_slot_whose_first_page_is_gone_is_read_all_the_same() {
    let disk = clean();
    let slot = layout::slot_path(&layout::journal(dir()), 0);
    let mut page = disk.read_file(&slot).unwrap();
    page[..4096].fill(0xa5);
    disk.write_file(&slot, page).unwrap();
    assert!(matches!(opened(&disk.durable_copy(), DIR), Err(LogError::Corrupt(_))));
    let saved = save(&disk);
    assert_eq!((saved.given_up.len(), saved.damage.len()), (0, 1), "{saved:?}");
    assert_eq!(saved_contents(&disk).1, contents());
}

/// A log of many turns that ends in a power cut.
fn old(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    let mut log = Hand::open(vfs(&disk), dir(), small(seed)).unwrap();
    let mut chance = crate::log::writer::Seeds(seed);
    let mut draw = |below: u64| chance.next() % below;
    let mut topics = BTreeMap::new();
    for number in 0..3 {
        let keeps = Terms { keeps: number == 0, most_keys: 9, key_millis: 99, about: vec![number as u8] };
        let topic = log.topic_with(&format!("topic {number}"), keeps).unwrap();
        topics.insert(topic, (log.group(topic, "all", 0).unwrap(), 0_u64, 0_u64));
    }
    for _ in 0..400 + draw(100) {
        let topic = u32::try_from(draw(3)).unwrap();
        let Some((group, next, settled)) = topics.get_mut(&topic) else { continue };
        match draw(10) {
            0 => *settled = (*settled + draw(40)).min(*next),
            1 if topic == 2 => log.trim(topic, next.saturating_sub(30)),
            2 if draw(20) == 0 => log.turn().unwrap(),
            _ => {
                let many = 1 + draw(5);
                let all: Vec<Vec<u8>> = (*next..*next + many).map(|at| body(topic, at)).collect();
                let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
                log.append(topic, &all, draw(2) == 0).unwrap();
                *next += many;
            }
        }
        log.mark_unheard(topic, *group, done(&[(0, *settled)]));
    }
    drop(log);
    disk.crash(CrashKind::Random(seed))
}

#[test]
fn a_log_of_many_turns_is_saved_whatever_of_it_is_damaged() {
    for seed in 0..6 {
        let disk = old(seed);
        let verified = look(&disk);
        assert_eq!(verified.inspection.damage, [], "seed {seed}");
        let (state, read) = opened(&disk.durable_copy(), DIR).unwrap();
        let told = verified.inspection.topics.iter().map(|topic| (topic.floor, topic.next));
        assert!(told.eq(state.topics.values().map(|topic| (topic.floor, topic.next))), "seed {seed}");
        let names = state.topics.values().map(|topic| topic.name.clone());
        let contents: Contents = names.zip(read).collect();
        let whole = disk.durable_copy();
        assert_eq!(
            (save(&whole).given_up.len(), saved_contents(&whole).1 == contents),
            (0, true),
            "seed {seed}"
        );

        let blind = disk.durable_copy();
        blind.remove(layout::checkpoint(dir())).unwrap();
        let saved = save(&blind);
        assert_eq!(missing(&contents, &saved_contents(&blind).1), BTreeSet::new(), "seed {seed}: {saved:?}");
        // Segments have the names of topics, and nothing has those of groups. Which turns are old, and whether an end is
        // torn, only the checkpoint tells.
        assert!(lost(&saved).is_empty(), "seed {seed}: {saved:?}");

        let places = places(&disk);
        for step in 0..12 {
            let (path, at) = &places[(seed as usize * 7919 + step * 104_729) % places.len()];
            let flipped = disk.durable_copy();
            flipped.flip(path, *at, 1 << (step % 8)).unwrap();
            let saved = save(&flipped);
            let (missing, lost) = (missing(&contents, &saved_contents(&flipped).1), lost(&saved));
            let is_told = saved.given_up.iter().any(|given| matches!(given, GivenUp::Frames { .. }));
            let is_told = is_told || saved.torn.is_some() || missing.is_subset(&lost);
            assert!(is_told && missing.len() <= 5, "seed {seed} {path:?} {at}: {missing:?} {saved:?}");
        }
    }
}
