//! What lies where: the site that a connection's exporter asks, one request at a time.

use std::collections::BTreeMap;
use std::rc::Rc;

use pmbridge_core::http::server::{Request, Status};
use pmbridge_core::role::exporter::{Aborted, Answer, Page, Site};
use pmbridge_core::time::Instant;

use super::auth::{Auth, Verdict};
use super::config::Config;
use super::shelf::Shelf;
use super::{Document, Pages, Reply};

/// What all connections share.
pub(super) struct House {
    pub(super) telemetry_path: String,
    pub(super) config: Config,
    pub(super) auth: Auth,
    /// Pages that are being read.
    pub(super) shelf: Shelf,
    /// Answers, by status.
    pub(super) answers: BTreeMap<u16, u64>,
}

/// What a connection is about.
#[derive(Debug, Default)]
pub(super) struct Guest {
    /// Who asks may have what it asks for.
    admitted: bool,
    /// What the pages remember of a request that waits.
    wait: Option<u64>,
    /// What goes out, and how.
    page: Option<Rc<Document>>,
    gzip: bool,
    /// How much of it is out.
    sent: usize,
}

impl Guest {
    /// What of the page is not out yet.
    pub(super) fn rest(&self) -> &[u8] {
        let Some(page) = &self.page else { return &[] };
        let bytes = if self.gzip { page.gzip().unwrap_or_default() } else { page.plain() };
        bytes.get(self.sent..).unwrap_or_default()
    }

    /// So much more of it is out.
    pub(super) fn passed(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes);
    }

    /// The bytes that go out as a page.
    pub(super) fn page_len(&self) -> usize {
        self.rest().len().saturating_add(self.sent)
    }

    /// Whether what goes out is not to be read any more.
    pub(super) fn is_cut(&self) -> bool {
        self.page.as_ref().is_some_and(|page| page.is_cut())
    }

    /// The connection has ended.
    pub(super) fn leave(&mut self, pages: &mut dyn Pages) {
        if let Some(wait) = self.wait.take() {
            pages.forget(wait);
        }
        *self = Self::default();
    }
}

/// One connection's view of the house.
pub(super) struct Desk<'a> {
    pub(super) guest: &'a mut Guest,
    pub(super) house: &'a mut House,
    pub(super) pages: &'a mut dyn Pages,
    pub(super) fields: &'a str,
    pub(super) now: Instant,
}

impl Desk<'_> {
    /// Whether who asks may; `None` is that it may.
    fn turned_away(&mut self, request: &Request<'_>) -> Option<Answer> {
        if self.guest.admitted || self.house.config.users.is_empty() {
            return None;
        }
        match self.house.auth.check(&self.house.config.users, request.field("authorization")) {
            Verdict::Granted => {
                self.guest.admitted = true;
                None
            }
            Verdict::Denied => Some(Answer::Status(Status::UNAUTHORIZED)),
            Verdict::Later => Some(Answer::Later),
        }
    }

    /// A page, packed if that is wanted and worth it.
    fn page(&mut self, status: Status, page: Rc<Document>, request: &Request<'_>) -> Answer {
        self.guest.gzip = request.wants_gzip() && page.gzip().is_some();
        self.guest.sent = 0;
        let content_type = page.content_type();
        self.guest.page = Some(page);
        let length = u64::try_from(self.guest.rest().len()).ok();
        let varies = status == Status::OK;
        Answer::Page(Page { status, content_type, length, gzip: self.guest.gzip, varies })
    }

    /// A line of ours.
    fn line(&mut self, status: Status, text: &str, request: &Request<'_>) -> Answer {
        let text = format!("{}\n", text.replace(|c: char| c.is_control(), " "));
        self.page(status, Rc::new(Document::new(PLAIN, text.into_bytes())), request)
    }
}

impl Site for Desk<'_> {
    fn answer(&mut self, request: &Request<'_>) -> Answer {
        if let Some(answer) = self.turned_away(request) {
            return answer;
        }
        match request.path {
            path if path == self.house.telemetry_path => {
                match self.pages.page(request, &mut self.guest.wait, self.now) {
                    Reply::Later => Answer::Later,
                    Reply::Refused(code, why) => {
                        self.guest.wait = None;
                        self.line(Status::new(code), &why, request)
                    }
                    Reply::Page(page) => {
                        self.guest.wait = None;
                        self.house.shelf.put(&page);
                        self.page(Status::OK, page, request)
                    }
                }
            }
            "/-/healthy" => self.line(Status::OK, "pmbridge is healthy.", request),
            "/-/ready" if self.pages.is_ready() => self.line(Status::OK, "pmbridge is ready.", request),
            "/-/ready" => self.line(Status::UNAVAILABLE, "pmbridge is not ready.", request),
            "/" => {
                let text = landing(&self.house.telemetry_path).into_bytes();
                self.page(Status::OK, Rc::new(Document::new(HTML, text)), request)
            }
            _ => Answer::Status(Status::NOT_FOUND),
        }
    }

    fn body(&mut self, output: &mut [u8]) -> Result<(usize, bool), Aborted> {
        // What fits the window goes with the head; a longer rest is sent from where it lies.
        if self.guest.sent > 0 {
            return Ok((0, false));
        }
        let rest = self.guest.rest();
        let n = rest.len().min(output.len());
        for (to, from) in output.iter_mut().zip(rest) {
            *to = *from;
        }
        let last = n == rest.len();
        self.guest.passed(n);
        Ok((n, last))
    }

    fn began(&mut self, status: Status) {
        self.guest.admitted = false;
        let count = self.house.answers.entry(status.code()).or_default();
        *count = count.saturating_add(1);
    }

    fn end(&mut self) {
        self.guest.leave(self.pages);
    }

    fn fields(&self) -> &str {
        self.fields
    }
}

/// The page for people.
fn landing(path: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>pmbridge</title></head>\n<body>\n\
         <h1>pmbridge</h1>\n<p>Performance Co-Pilot's metrics for Prometheus.</p>\n<ul>\n\
         <li><a href=\"{path}\">Metrics</a></li>\n<li><a href=\"/-/healthy\">Healthy</a></li>\n\
         <li><a href=\"/-/ready\">Ready</a></li>\n</ul>\n<p>Version {}</p>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    )
}

const PLAIN: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
