//! Clients, readers, neighbours and the agent on one wire in one process, with a clock that the test turns.

mod rig;

use rig::{HTTP, PCP, Rig, SETTINGS};

#[test]
fn both_protocols_answer() {
    let mut rig = Rig::new(&[], &SETTINGS);
    let pcp = rig.peer.connect(PCP, 4096);
    let http = rig.peer.connect(HTTP, 4096);
    let mut challenge = Vec::new();
    rig.until(1000, |rig| {
        challenge.extend(rig.peer.take(pcp));
        challenge.len() == 20
    });
    assert_eq!(challenge.len(), 20);
    assert!(rig.until(1000, |rig| rig.peer.is_up(http)));
    rig.peer.get(http).send_slice(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut page = Vec::new();
    let done = rig.until(2000, |rig| {
        page.extend(rig.peer.take(http));
        page.ends_with(b"0\r\n\r\n")
    });
    assert!(done, "{}", String::from_utf8_lossy(&page));
}
