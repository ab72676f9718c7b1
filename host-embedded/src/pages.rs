//! Who wants pages: one exporter each, whose page is written straight into the socket.

use pmbridge_core::{
    http::server::{Request, Status},
    role::{
        Context,
        exporter::{Aborted, Answer, Exporter, Limits, Page as Promise, Site},
        page::{Format, Page},
    },
    store::Ticket,
    time::{Duration, Instant},
};
use smoltcp::socket::tcp::Socket;

use crate::{
    clients::Known,
    conn::{self, Fate, Line, Over, Worth},
    log,
    memory::{HEAD, Later, Slices},
    stats::Stats,
};

/// The port of exporters.
pub(crate) const PORT: u16 = 9100;

/// A place for who wants pages.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) line: Line,
    role: Later<Exporter>,
    guest: Later<Guest>,
    /// It has had an answer.
    is_known: bool,
}

/// What a request has come to.
#[derive(Debug)]
enum Guest {
    /// Neighbours are scraped for it.
    Waits { since: Ticket, until: Instant },
    /// What the device itself has is published next.
    Asks { since: Ticket, asked: Ticket },
    /// The page is going out.
    Page(Page),
    /// A line is going out, from this byte on.
    Line { text: &'static str, sent: usize },
}

impl Reader {
    /// With nobody there.
    pub(crate) const NONE: Self =
        Self { line: Line::NONE, role: Later::Not, guest: Later::Not, is_known: false };

    /// Lets it go on; whether there is more to do at once.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_, Slices<'_>>,
        (socket, window): (&mut Socket<'_>, &mut [u8]),
        stats: &mut Stats,
    ) -> bool {
        match self.line.look(socket, PORT, cx.now) {
            Fate::Free | Fate::Between => {
                self.leave();
                return false;
            }
            Fate::Late => return self.end(socket, &mut stats.timed_out),
            Fate::New => {
                self.leave();
                log::reader(socket.remote_endpoint());
                self.role.make(Exporter::new(LIMITS));
            }
            Fate::Goes => {}
        }
        let Some(role) = self.role.as_mut() else { return false };
        let (guest, is_known, now) = (&mut self.guest, &mut self.is_known, cx.now);
        let mut desk = Desk { guest, store: cx.store, stats, is_known, now };
        let moved = conn::pump(socket, window, &mut |input, room| {
            role.step(&mut desk, input, room, now).map_err(|_| Over)
        });
        let is_done = role.is_done();
        let (waits, is_busy) = (role.is_waiting(), matches!(self.guest, Later::Made(Guest::Page(_))));
        let Ok(moved) = moved else { return self.end(socket, &mut stats.out_of_step) };
        // The exporter itself sees to it that requests come in time.
        self.line.note(socket, moved, (false, is_busy), now);
        if now >= self.line.deadline(cx.store.is_held()) {
            return self.end(socket, &mut stats.timed_out);
        }
        let is_over = !socket.may_recv() && !moved.worked && !is_busy && !waits;
        if socket.may_send() && (is_done || is_over) {
            socket.close();
        }
        moved.worked
    }

    /// Ends the connection at once.
    fn end(&mut self, socket: &mut Socket<'_>, count: &mut u32) -> bool {
        *count = count.wrapping_add(1);
        socket.abort();
        self.leave();
        true
    }

    /// Whether a page is half out.
    pub(crate) const fn is_busy(&self) -> bool {
        matches!(self.guest, Later::Made(Guest::Page(_)))
    }

    /// Whether somebody is there.
    pub(crate) const fn is_taken(&self) -> bool {
        self.role.as_ref().is_some()
    }

    /// When to go on though nothing has come.
    pub(crate) fn deadline(&self, is_owed: bool) -> Instant {
        let guest = match self.guest.as_ref() {
            Some(Guest::Waits { until, .. }) => *until,
            _ => Instant::NEVER,
        };
        let role = self.role.as_ref().and_then(Exporter::deadline);
        guest.min(role.unwrap_or(Instant::NEVER)).min(self.line.deadline(is_owed))
    }

    /// For how little another may have its place.
    pub(crate) fn worth(&self, now: Instant) -> Option<(Worth, Instant)> {
        let is_idle = self.role.as_ref().is_some_and(Exporter::is_idle);
        self.line.worth((!self.is_known && is_idle, is_idle), KEPT, now)
    }

    /// Nobody is there any more.
    pub(crate) fn leave(&mut self) -> &mut Line {
        self.role.clear();
        self.guest.clear();
        self.is_known = false;
        &mut self.line
    }
}

/// One connection's view of what there is.
struct Desk<'a, 'm> {
    guest: &'a mut Later<Guest>,
    store: &'a mut Known<'m>,
    stats: &'a mut Stats,
    is_known: &'a mut bool,
    now: Instant,
}

impl Desk<'_, '_> {
    /// A page, once all that is on it was scraped and published, or has taken too long.
    fn page(&mut self, request: &Request<'_>) -> Answer {
        if self.guest.as_ref().is_none() {
            let since = self.store.ticket();
            self.want(since, true);
            self.guest.make(Guest::Waits { since, until: self.now.saturating_add(PATIENCE) });
        }
        if let Some(Guest::Waits { since, until }) = self.guest.as_ref() {
            let (since, until) = (*since, *until);
            if self.now < until && !self.is_fresh(since, true) {
                return Answer::Later;
            }
            // Drawn now, so that what is published tells of the scrapes that were waited for.
            let asked = self.store.ticket();
            self.want(asked, false);
            self.guest.make(Guest::Asks { since, asked });
        }
        let Some(Guest::Asks { since, asked }) = self.guest.as_ref() else { return Answer::Later };
        let (since, asked) = (*since, *asked);
        if self.store.is_held() || !self.is_fresh(asked, false) {
            return Answer::Later;
        }
        let format = Format::negotiate(request.field("accept"));
        self.guest.make(Guest::Page(Page::new(format, since)));
        Answer::Page(Promise {
            status: Status::OK,
            content_type: format.content_type(),
            length: None,
            gzip: false,
            varies: true,
        })
    }

    /// Wants the neighbours, or what is published here.
    fn want(&mut self, ticket: Ticket, scraped: bool) {
        for source in self.store.view().source_ids() {
            if self.store.view().is_scraped(source) == scraped {
                self.store.want(source, ticket, self.now);
            }
        }
    }

    /// Whether all of these were scraped, or published, since.
    fn is_fresh(&self, ticket: Ticket, scraped: bool) -> bool {
        let view = self.store.view();
        view.source_ids().all(|source| view.is_scraped(source) != scraped || view.is_fresh(source, ticket))
    }

    fn line(&mut self, text: &'static str) -> Answer {
        self.guest.make(Guest::Line { text, sent: 0 });
        let length = u64::try_from(text.len()).ok();
        let (content_type, gzip, varies) = ("text/plain; charset=utf-8", false, false);
        Answer::Page(Promise { status: Status::OK, content_type, length, gzip, varies })
    }
}

impl Site for Desk<'_, '_> {
    fn answer(&mut self, request: &Request<'_>) -> Answer {
        match request.path {
            "/metrics" => self.page(request),
            "/-/healthy" => self.line("pmbridge is healthy.\n"),
            _ => Answer::Status(Status::NOT_FOUND),
        }
    }

    fn body(&mut self, output: &mut [u8]) -> Result<(usize, bool), Aborted> {
        match self.guest.as_mut() {
            Some(Guest::Page(page)) => Ok(page.write(self.store.view(), None, output)),
            Some(Guest::Line { text, sent }) => {
                let rest = text.as_bytes().get(*sent..).unwrap_or_default();
                let n = rest.len().min(output.len());
                output.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                *sent = sent.saturating_add(n);
                Ok((n, n == rest.len()))
            }
            _ => Err(Aborted),
        }
    }

    fn end(&mut self) {
        self.guest.clear();
    }

    fn began(&mut self, _: Status) {
        *self.is_known = true;
        self.stats.requests = self.stats.requests.wrapping_add(1);
    }
}

/// What a reader may take.
const LIMITS: Limits = Limits {
    line: 256,
    head: HEAD,
    request: Duration::from_secs(10),
    idle: Duration::from_secs(75),
    answer: Duration::from_secs(9),
};
/// How long a reader keeps its place from others between two pages: Prometheus connects again and loses nothing.
const KEPT: Duration = Duration::from_secs(2);
/// How long a page waits for neighbours.
const PATIENCE: Duration = Duration::from_secs(4);
