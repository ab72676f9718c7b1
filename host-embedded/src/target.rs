//! A neighbour that is scraped when somebody wants its values: one connection for each scrape.

use pmbridge_core::{
    mapping::Plain,
    role::{Context, document::Document, scraper::Scraper},
    store::{SourceId, Storage, Store},
    time::{Duration, Instant},
};
use smoltcp::{
    iface::{Context as Stack, SocketHandle},
    socket::tcp::Socket,
    wire::IpEndpoint,
};

use crate::{
    conn::Conn,
    memory::{LINE, WINDOW},
};

/// A neighbour and its socket. `request` is a whole HTTP request that asks for `Connection: close`.
#[derive(Debug)]
pub struct Target<'r> {
    pub(crate) socket: SocketHandle,
    source: SourceId,
    at: IpEndpoint,
    request: &'r [u8],
    scrape: Option<Scrape<'r>>,
    next_port: u16,
}

#[derive(Debug)]
struct Scrape<'r> {
    conn: Conn<Scraper<&'r [u8], Document<[u8; LINE], Plain>>, WINDOW>,
    until: Instant,
}

impl<'r> Target<'r> {
    /// A neighbour that was not scraped yet.
    pub const fn new(socket: SocketHandle, source: SourceId, at: IpEndpoint, request: &'r [u8]) -> Self {
        Self { socket, source, at, request, scrape: None, next_port: FIRST_PORT }
    }

    /// Begins, goes on with, or ends a scrape; whether anything moved. Not while a client's answer is half out.
    pub(crate) fn poll<S: Storage>(
        &mut self,
        cx: &mut Context<'_, S>,
        socket: &mut Socket<'_>,
        stack: &mut Stack,
    ) -> bool {
        let Some(scrape) = &mut self.scrape else { return self.begin(cx, socket, stack) };
        let polled = scrape.conn.poll(cx, socket);
        let is_over = !socket.may_recv() && !socket.can_recv() && socket.may_send();
        let is_lost = !socket.is_active() || cx.now >= scrape.until;
        let whole = match polled {
            Ok(_) if scrape.conn.role().is_done() => true,
            Ok(_) if is_over => scrape.conn.role_mut().end(cx).is_ok(),
            Ok(moved) if !is_lost => return moved,
            _ => false,
        };
        socket.abort();
        self.scrape = None;
        cx.store.commit(self.source, whole, cx.now);
        true
    }

    fn begin<S: Storage>(
        &mut self,
        cx: &mut Context<'_, S>,
        socket: &mut Socket<'_>,
        stack: &mut Stack,
    ) -> bool {
        if !is_wanted(cx.store, self.source) || socket.is_open() {
            return false;
        }
        self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_PORT);
        cx.store.begin(self.source);
        if socket.connect(stack, self.at, self.next_port).is_err() {
            cx.store.commit(self.source, false, cx.now);
            return true;
        }
        let document = Document::new(self.source, [0; LINE], Plain);
        let conn = Conn::new(Scraper::new(self.request, document, MAX_BODY));
        self.scrape = Some(Scrape { conn, until: cx.now.saturating_add(PATIENCE) });
        true
    }
}

fn is_wanted<S: Storage>(store: &Store<S>, source: SourceId) -> bool {
    let mut from = 0;
    while let Some((wanted, next)) = store.wanted(from) {
        if wanted == source {
            return true;
        }
        from = next;
    }
    false
}

/// How long a scrape may take: less than a client waits.
const PATIENCE: Duration = Duration::from_secs(3);
/// Where local ports begin.
const FIRST_PORT: u16 = 49_152;
/// Bytes of the longest document.
const MAX_BODY: u64 = 1 << 20;
