//! An image that links only where no panic is reachable from core.
//!
//! The panic handler calls a symbol that does not exist. Sections that nothing reaches are left out of the image, so
//! the symbol is missed only where some path leads to a panic. With the feature `control` one does.

#![no_std]
#![no_main]

use core::hint::black_box;

use pmbridge_core::pdu::{
    self, Kind, attr, creds, desc, error, fetch, instance, label, pmns, profile, result, text,
};
use pmbridge_core::wire::Writer;

unsafe extern "C" {
    safe fn a_panic_is_reachable() -> !;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    a_panic_is_reachable()
}

/// Reaches all of core with input that the compiler knows nothing of.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let mut input = [0_u8; 256];
    let mut output = [0_u8; 256];
    loop {
        black_box(&mut input);
        every_pdu(black_box(&input), black_box(&mut output));
        #[cfg(feature = "control")]
        black_box(input[black_box(input.len())]);
    }
}

/// Parses whatever comes as whatever it says it is, and emits it again.
fn every_pdu(input: &[u8], output: &mut [u8]) {
    let Ok(Some((header, body, len))) = pdu::split(input) else { return };
    black_box(len);
    let mut w = Writer::resume(output, black_box(3));
    let from = header.from;
    macro_rules! again {
        ($parsed:expr) => {
            if let Ok(parsed) = black_box($parsed) {
                parsed.emit(from, &mut w);
            }
        };
    }
    match header.kind {
        Kind::PROFILE => again!(profile::Profile::parse(body)),
        Kind::FETCH | Kind::HIGHRES_FETCH => again!(fetch::Fetch::parse(header.kind, body)),
        Kind::RESULT | Kind::HIGHRES_RESULT => again!(result::Results::parse(header.kind, body)),
        Kind::INSTANCE_REQ => again!(instance::Request::parse(body)),
        Kind::INSTANCE => again!(instance::Instances::parse(body)),
        Kind::LABEL_REQ => again!(label::Request::parse(body)),
        Kind::LABEL => again!(label::Labels::parse(body)),
        Kind::PMNS_NAMES => again!(pmns::Names::parse(body)),
        Kind::PMNS_IDS => again!(pmns::Ids::parse(body)),
        Kind::PMNS_CHILD => again!(pmns::Child::parse(body)),
        Kind::PMNS_TRAVERSE => again!(pmns::Traverse::parse(body)),
        Kind::TEXT_REQ => again!(text::Request::parse(body)),
        _ => {}
    }
    let _ = black_box((
        creds::Creds::parse(body),
        error::Report::parse(body),
        error::Challenge::parse(body),
        desc::Request::parse(body),
    ));
    let _ = black_box((attr::Attr::parse(body), text::Text::parse(body), desc::Reply::parse(body)));
    let _ = black_box((desc::DescIds::parse(body), desc::Descs::parse(body)));
    black_box((w.total(), w.written(), w.is_whole()));
}
