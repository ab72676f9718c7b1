//! Laws of the server's side of HTTP: windows change nothing, nothing is consumed that did not come, every request that
//! is answered is answered whole and the site hears of each answer, and what is found in a query is what was put there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pmbridge_core::http::server::{Head, Request, Status, pairs};
use pmbridge_core::role::exporter::{Aborted, Answer, Exporter, Limits, Page, Site};
use pmbridge_core::time::Instant;

fuzz_target!(|input: &[u8]| {
    let Some((&[step, room], requests)) = input.split_first_chunk() else { return };
    let whole = served(requests, requests.len(), 4096);
    assert_eq!(whole, served(requests, usize::from(step).max(1), usize::from(room).max(1)));
    heads_are_what_came(requests);
});

/// A page for every path but one, of its query's length.
#[derive(Default)]
struct Pages {
    left: usize,
    asked: Vec<(String, String)>,
    ended: usize,
    began: usize,
}

impl Site for Pages {
    fn answer(&mut self, request: &Request<'_>) -> Answer {
        self.asked.push((request.path.into(), request.query.into()));
        for (name, value) in pairs(request.query) {
            assert!(name.bytes().count() <= name.raw().len() && value.bytes().count() <= value.raw().len());
        }
        if request.path == "/nowhere" {
            return Answer::Status(Status::NOT_FOUND);
        }
        self.left = request.query.len();
        Answer::Page(Page {
            status: Status::OK,
            content_type: "text/plain",
            length: u64::try_from(self.left).ok(),
            gzip: request.wants_gzip(),
            varies: true,
        })
    }

    fn body(&mut self, output: &mut [u8]) -> Result<(usize, bool), Aborted> {
        let n = output.len().min(self.left);
        output[..n].fill(b'#');
        self.left -= n;
        Ok((n, self.left == 0))
    }

    fn end(&mut self) {
        self.ended += 1;
    }

    fn began(&mut self, _: Status) {
        self.began += 1;
    }
}

/// Everything that is said to this input when it comes and goes in such windows, and what was asked of the site.
fn served(input: &[u8], step: usize, room: usize) -> (Vec<u8>, Vec<(String, String)>, bool) {
    let limits = Limits { line: 200, head: 600, ..Limits::DEFAULT };
    let (mut exporter, mut site, mut said) = (Exporter::new(limits), Pages::default(), Vec::new());
    let (mut from, mut to, mut window) = (0, 0, vec![0; room]);
    loop {
        let done = exporter.step(&mut site, &input[from..to], &mut window, Instant::START).unwrap();
        from += done.consumed;
        assert!(from <= to);
        said.extend_from_slice(&window[..done.produced]);
        if done.is_none() {
            if to == input.len() {
                break;
            }
            to = (to + step.max(1)).min(input.len());
        }
    }
    assert!(site.ended <= site.asked.len());
    // Bodies do not say it.
    assert_eq!(said.windows(9).filter(|text| text == b"HTTP/1.1 ").count(), site.began);
    // What is not consumed is the start of a request that is still allowed.
    assert!(to - from < 600);
    (said, site.asked, exporter.is_done())
}

/// A head is as long as it says, and ends where its empty line does.
fn heads_are_what_came(input: &[u8]) {
    if let Ok(Some(head)) = Head::parse(input, 200, 600) {
        assert!(input[..head.len].ends_with(b"\r\n\r\n"));
        assert!(Head::parse(&input[..head.len - 1], 200, 600) == Ok(None));
        assert!(head.request.path.starts_with('/') || head.request.path == "*");
        assert!(head.is_old || head.request.field("HOST").is_some());
        assert!(head.request.field("transfer-encoding").is_none());
    }
}
