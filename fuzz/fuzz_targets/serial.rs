//! Laws of the serial line: whatever comes off it, what is believed was framed so; and what two ends that are
//! tormented tell each other is what they were told.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pmbridge_core::{
    serial::{
        Event, Listener, Opener, Pace,
        frame::{Frame, Framer, Unframer},
    },
    time::Instant,
};

fuzz_target!(|data: &[u8]| {
    framing(data);
    conversation(data);
});

/// A frame that comes of any bytes is one that is sent as such, and comes again.
fn framing(data: &[u8]) {
    let mut unframer = Unframer::new();
    for byte in data {
        let Some(frame) = unframer.take(*byte) else { continue };
        let mut framer = Framer::new();
        framer.begin(&frame);
        let mut again = Unframer::new();
        let mut came = 0;
        while let Some(byte) = framer.give() {
            came += usize::from(again.take(byte).is_some_and(|got| same(&got, &frame)));
        }
        assert_eq!(came, 1);
    }
}

fn same(one: &Frame<'_>, other: &Frame<'_>) -> bool {
    one == other
}

/// The byte at this place of the stream of this session.
fn byte(session: u8, place: usize) -> u8 {
    session.wrapping_mul(31) ^ u8::try_from(place % 251).unwrap_or_default()
}

/// Each byte of input is what becomes of the next bytes on the line, of either end, or of the time.
fn conversation(data: &[u8]) {
    let pace = Pace::of_baud(1_000_000);
    let (mut opener, mut listener) = (Opener::<300>::new(pace, 1), Listener::<300>::new(pace, 0, 7));
    let (mut down, mut up) = (Vec::new(), Vec::new());
    let (mut millis, mut boots) = (0, 0);
    // What goes down in this session, and what of it has come: each begins with the session's own byte.
    let (mut sent, mut session, mut got) = (0, 0_u8, Vec::new());
    for order in data {
        let now = Instant::from_millis(millis);
        let n = usize::from(order >> 3);
        match order & 7 {
            0 => millis += 1 + (n as u64) * 10,
            1 => down.extend(core::iter::from_fn(|| opener.transmit(now)).take(n * 8)),
            2 => up.extend(core::iter::from_fn(|| listener.transmit(now)).take(n * 8)),
            3 if n < down.len() => drop(down.remove(n)),
            4 if n < up.len() => up[n] ^= 1 << (n & 7),
            5 if n < down.len() => down.insert(n, down[n]),
            6 if n == 31 => {
                boots += 1;
                listener = Listener::new(pace, boots, 7);
                got.clear();
            }
            6 if n == 30 => opener.renew(),
            _ => {
                let mut room = [0; 40];
                let size = 1 + n;
                let taken = listener.receive(&down, &mut room[..size], now);
                down.drain(..taken.consumed);
                got.extend_from_slice(&room[..taken.produced]);
                if taken.event.is_some() {
                    got.clear();
                }
                let taken = opener.receive(&up, &mut room[..size], now);
                up.drain(..taken.consumed);
                if let Some(Event::Opened { domain }) = taken.event {
                    assert_eq!(domain, 7);
                    (session, sent) = (session.wrapping_add(1), 0);
                }
                let free = opener.room();
                for (at, place) in free.iter_mut().enumerate() {
                    *place = if sent + at == 0 { session } else { byte(session, sent + at) };
                }
                let n = free.len();
                opener.send(n);
                sent += n;
            }
        }
        if let Some(of) = got.first() {
            let is_right = |(at, got): (usize, &u8)| *got == byte(*of, at);
            assert!(got.iter().enumerate().skip(1).all(is_right));
        }
        assert!(opener.deadline().is_some() && listener.deadline().is_some() == listener.is_open());
    }
}
