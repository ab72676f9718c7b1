//! Both ends of a serial line, and what the host of each does with it.

use core::hint::black_box;

use pmbridge_core::role::relay::{Far, Relay, Settings, Side};
use pmbridge_core::serial::{Listener, Opener, Pace};
use pmbridge_core::time::{Duration, Instant};

/// Takes whatever comes off a line.
pub(crate) fn every_line(input: &[u8], output: &mut [u8]) {
    let pace = Pace::of_baud(black_box(9600));
    let mut listener = Listener::<256>::new(pace, black_box(1), black_box(2));
    let mut opener = Opener::<4096>::new(pace, black_box(3));
    while black_box(true) {
        let now = Instant::from_millis(black_box(1));
        black_box(listener.receive(black_box(input), black_box(output), now));
        listener.send(black_box(4));
        black_box((listener.room(), now));
        black_box((listener.transmit(now), listener.deadline(), listener.is_open()));
        if black_box(true) {
            listener.close();
            opener.renew();
        }
        black_box(opener.receive(black_box(input), black_box(output), now));
        opener.send(black_box(4));
        black_box((opener.room(), now));
        black_box((opener.transmit(now), opener.deadline(), opener.session()));
    }
}

/// Passes whatever comes on.
pub(crate) fn every_relay(input: &[u8], output: &mut [u8]) {
    let settings = Settings {
        pid: black_box(1),
        announces_ready: black_box(true),
        domain: black_box(2),
        patience: Duration::from_millis(black_box(3)),
    };
    let mut relay = Relay::<256>::new(settings);
    let mut other = [0_u8; 64];
    while black_box(true) {
        let far = match black_box(1) {
            0 => Far::Away,
            1 => Far::Sought,
            _ => Far::There { session: black_box(1), domain: black_box(2) },
        };
        let pmcd = Side { input: black_box(input), output: black_box(&mut *output) };
        let agent = Side { input: black_box(input), output: black_box(&mut other) };
        let _ = black_box(relay.step(far, Instant::from_millis(black_box(1)), pmcd, agent));
        black_box((relay.deadline(), relay.is_busy()));
    }
}
