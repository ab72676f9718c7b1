//! What the head of a response makes of a scrape.

use pmbridge_core::{
    http::{self, response::location},
    mapping::Plain,
    role::{
        Role as _,
        document::Document,
        scraper::{Error, Scraper},
    },
};

use crate::{
    growing::Growing,
    script::{context, store},
};

#[test]
fn a_redirect_ends_the_scrape_with_its_location_still_in_the_window() {
    let early = "HTTP/1.1 103 Early Hints\r\n\r\n";
    for (status, want) in [
        (301, Error::Moved(301)),
        (302, Error::Moved(302)),
        (303, Error::Moved(303)),
        (304, Error::Status(304)),
        (307, Error::Moved(307)),
        (308, Error::Moved(308)),
        (404, Error::Status(404)),
    ] {
        let response = format!("{early}HTTP/1.1 {status} x\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n");
        let (mut store, [cpu, _]) = store(Growing::default());
        let mut role = Scraper::new(b"x", Document::new(cpu, [0u8; 64], Plain), 100);
        let told = role.step(&mut context(&mut store, 0), response.as_bytes(), &mut [0; 8]);
        assert_eq!(told, Err(want));
        assert_eq!(role.status(), status);
        assert_eq!(location(response.as_bytes()), Some(&b"/there"[..]));
    }
}

#[test]
fn a_document_that_knows_no_coding_refuses_a_coded_body() {
    for (coding, refused) in [("identity", false), ("gzip", true), ("gzip, gzip", true)] {
        let response =
            format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: 4\r\n\r\na 1\n");
        let (mut store, [cpu, _]) = store(Growing::default());
        store.begin(cpu);
        let mut role = Scraper::new(b"x", Document::new(cpu, [0u8; 64], Plain), 100);
        let told = role.step(&mut context(&mut store, 0), response.as_bytes(), &mut [0; 8]);
        assert_eq!(told.err(), refused.then_some(Error::Http(http::Error::Encoding)), "{coding}");
        assert_eq!(role.is_done(), !refused);
    }
}
