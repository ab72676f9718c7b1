//! What holds whatever the cable does.

use pmbridge_core::time::Duration;
use pmbridge_tests::wire::{Faults, Flood, Plague, Protocol};

use crate::{
    chip::{HTTP, PCP},
    world::{AGAIN, World},
};

/// How long anybody may take on the worst cable of all. smoltcp sends again after a second at the earliest.
const LONG: Duration = Duration::from_secs(3600);

#[test]
fn a_good_cable_gives_the_same_answers_each_time() {
    let (_, known) = World::known(1);
    assert!(known.rounds.iter().all(|round| !round.allowed.is_empty()));
    assert!(known.rounds.iter().any(|round| round.allowed.len() == 2), "a neighbour that is away shows");
    assert!(known.pages.iter().all(|page| page.allowed.len() == 2), "a neighbour that is away shows");
}

#[test]
fn no_answer_waits_for_anything_but_frames() {
    let (mut world, known) = World::known(1);
    for (protocol, asked) in [(Protocol::Pcp, &known.rounds), (Protocol::Http, &known.pages)] {
        for offset in 0..20 {
            world.pass(Duration::from_millis(offset));
            let (start, talk) = (world.now, world.talk(protocol, asked.clone()));
            world.near().talks = vec![talk];
            assert!(world.until_done(AGAIN));
            // There and back for two connections, for two requests, and for each two segments of a page.
            let most = Duration::from_millis(14 * u64::try_from(asked.len()).unwrap() + 4);
            let took = world.now.saturating_since(start);
            assert!(took <= most, "{protocol:?}: {took:?} of virtual time for {} answers", asked.len());
        }
    }
}

#[test]
fn no_wrong_byte_is_delivered_and_every_client_that_stays_finishes() {
    let mut lost = 0;
    let mut damaged = 0;
    for seed in 0..SEEDS {
        let (mut world, known) = World::known(seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let faults = Faults::of(&mut rng);
        for _ in 0..2 {
            let mut talk = world.talk(Protocol::Pcp, known.rounds.clone());
            (talk.piece, talk.window) = (rng.usize(1..200), rng.usize(300..8192));
            world.near().talks.push(talk);
        }
        let mut reader = world.talk(Protocol::Http, known.pages.clone());
        (reader.piece, reader.window) = (rng.usize(1..200), rng.usize(300..8192));
        world.near().talks.push(reader);
        let back = Faults::of(&mut rng);
        (world.near().out.faults, world.near().back.faults) = (faults, back);
        let is_done = world.until_done(LONG);
        for talk in &world.near().talks {
            assert_eq!(talk.wrong, None, "seed {seed}, {faults:?}");
            assert!(is_done && talk.is_content(), "seed {seed}, {faults:?}: {talk:?}");
            let gets_through = [faults, back].iter().all(|faults| faults.loss == 0 && faults.corruption == 0);
            assert!(talk.lost == 0 || !gets_through, "seed {seed}, {faults:?}, {back:?}: {talk:?}");
            lost += talk.lost;
        }
        damaged += world.near().out.damaged + world.near().back.damaged;
    }
    println!("{SEEDS} seeds: {damaged} frames damaged, {lost} connections lost");
    assert!(damaged > SEEDS);
}

#[test]
fn a_cut_cable_costs_time_and_nothing_else() {
    for seed in 0..SEEDS / 4 {
        let (mut world, known) = World::known(seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let talks = [
            world.talk(Protocol::Pcp, known.rounds.clone()),
            world.talk(Protocol::Http, known.pages.clone()),
        ];
        world.near().talks.extend(talks);
        world.pass(Duration::from_millis(rng.u64(1..100)));
        let both = rng.bool();
        (world.near().out.is_cut, world.near().back.is_cut) = (true, both);
        world.pass(Duration::from_secs(rng.u64(1..200)));
        (world.near().out.is_cut, world.near().back.is_cut) = (false, false);
        let is_done = world.until_done(AGAIN);
        for talk in &world.near().talks {
            assert!(is_done && talk.is_content() && talk.wrong.is_none(), "seed {seed}: {talk:?}");
        }
    }
}

#[test]
fn clients_that_vanish_make_room_for_those_that_come() {
    for seed in 0..SEEDS / 4 {
        let (mut world, known) = World::known(seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        for number in 50..59 {
            let talks = [
                world.talk(Protocol::Pcp, known.rounds.clone()),
                world.talk(Protocol::Http, known.pages.clone()),
            ];
            world.join(number, Faults::NONE, seed).talks.extend(talks);
        }
        world.pass(Duration::from_millis(rng.u64(1..100)));
        world.stations[1..].iter_mut().for_each(|station| station.is_dead = true);
        let talks = [
            world.talk(Protocol::Pcp, known.rounds.clone()),
            world.talk(Protocol::Http, known.pages.clone()),
        ];
        world.near().talks.extend(talks);
        let until = world.now.saturating_add(AGAIN);
        while !world.near().is_done() && world.now < until {
            world.turn();
        }
        for talk in &world.near().talks {
            assert!(talk.is_content() && talk.wrong.is_none(), "seed {seed}: {talk:?}");
        }
    }
}

#[test]
fn a_client_that_freezes_in_the_middle_of_an_answer_holds_nobody() {
    for seed in 0..SEEDS / 4 {
        let (mut world, known) = World::known(seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        for number in 50..56 {
            let (protocol, asked) =
                if number % 2 == 0 { (Protocol::Pcp, &known.rounds) } else { (Protocol::Http, &known.pages) };
            // It asks all at once and takes nothing.
            let all = asked.iter().flat_map(|round| round.request.clone()).collect();
            let mut frozen = world.talk(protocol, Vec::new()).asking(all);
            (frozen.window, frozen.reads, frozen.stays) = (rng.usize(1..300), false, false);
            frozen.patience = LONG;
            world.join(number, Faults::NONE, seed).talks.push(frozen);
        }
        world.pass(Duration::from_secs(1));
        let talks = [
            world.talk(Protocol::Pcp, known.rounds.clone()),
            world.talk(Protocol::Http, known.pages.clone()),
        ];
        world.near().talks.extend(talks);
        let until = world.now.saturating_add(AGAIN);
        while !world.near().is_done() && world.now < until {
            world.turn();
        }
        for talk in &world.near().talks {
            assert!(talk.is_content() && talk.wrong.is_none(), "seed {seed}: {talk:?}");
        }
    }
}

#[test]
fn a_device_that_nobody_asks_sleeps() {
    let (mut world, _) = World::known(1);
    world.pass(Duration::from_secs(100));
    let before = world.calls;
    world.pass(Duration::from_secs(3600));
    assert!(world.calls - before < 100, "{} calls in an hour", world.calls - before);
}

#[test]
fn what_is_known_does_not_grow() {
    for seed in 0..SEEDS / 40 {
        let (mut world, known) = World::known(seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut before = None;
        for _ in 0..20 {
            let plague = Plague::ALL[rng.usize(..Plague::ALL.len())];
            world.flood = Some((Flood::new(plague, world.chip.place(), &[PCP, HTTP], rng.u64(..)), 3));
            let faults = Faults::of(&mut rng);
            (world.near().out.faults, world.near().back.faults) = (faults, faults);
            let talks = [
                world.talk(Protocol::Pcp, known.rounds.clone()),
                world.talk(Protocol::Http, known.pages.clone()),
            ];
            world.near().talks = talks.into();
            world.pass(Duration::from_millis(rng.u64(1..2000)));
            world.flood = None;
            world.near().talks.clear();
            world.pass(Duration::from_secs(100));
            // A text that changed its place may be there twice until room is wanted.
            let now = world.chip.known();
            assert_eq!(*before.get_or_insert(now), now, "seed {seed}, {plague:?}");
        }
    }
}

/// Seeds are tried by the thousand where the compiler was told to hurry.
const SEEDS: u64 = if cfg!(debug_assertions) { 200 } else { 4000 };
