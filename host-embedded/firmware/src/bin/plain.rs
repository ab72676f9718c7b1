//! The board without pmbridge: the same driver, stack, sockets and buffers, around a loop that knows no protocol.
//!
//! It is there to be measured against. Whoever asks on 9100 gets `page=BYTES` of text that lies ready, at the end of his
//! request. On 44321 each `request=BYTES` are answered with `answer=BYTES`; with `scrape=A.B.C.D:PORT`, once the page
//! there was read to its end and thrown away.
#![no_std]
#![no_main]

use core::net::Ipv4Addr;

use cortex_m_rt::{entry, exception};
use pmbridge_embedded::memory::{FRAME, HEAD, QUESTION, RX, TX};
use pmbridge_firmware::{
    board::Board,
    clock, end,
    port::{LONGEST, Port},
    sleep,
};
use semihosting::experimental::env::args;
use smoltcp::{
    iface::{Config, Interface, PollResult, SocketHandle, SocketSet, SocketStorage},
    socket::tcp::{Socket, SocketBuffer, State},
    time::Instant,
    wire::{EthernetAddress, IpAddress, IpCidr, IpEndpoint},
};

#[entry]
fn main() -> ! {
    static mut RECEIVED: [u8; LONGEST] = [0; LONGEST];
    static mut TO_SEND: [u8; FRAME] = [0; FRAME];
    static mut ASKED: [([u8; RX], [u8; TX]); CLIENTS] = [([0; RX], [0; TX]); CLIENTS];
    static mut READ: [([u8; HEAD], [u8; TX]); READERS] = [([0; HEAD], [0; TX]); READERS];
    // No more than a segment: QEMU's user network minds the window only, and a longer one would not fit the frame.
    static mut PULLED: ([u8; RX], [u8; QUESTION]) = ([0; RX], [0; QUESTION]);
    static mut SOCKETS: [SocketStorage<'static>; CLIENTS + READERS + 1] =
        [SocketStorage::EMPTY; CLIENTS + READERS + 1];

    let Some(peripherals) = cortex_m::Peripherals::take() else { end::fault() };
    let board = Board::start();
    clock::start(peripherals.SYST);
    let Some(told) = Told::listen() else { end::end(USAGE) };
    let mac = EthernetAddress(board.mac());
    let mut port = Port::new(board, RECEIVED, TO_SEND);
    let mut iface = Interface::new(Config::new(mac.into()), &mut port, now());
    iface.update_ip_addrs(|all| _ = all.push(IpCidr::new(IpAddress::v4(10, 0, 2, 15), 24)));
    let mut sockets = SocketSet::new(&mut SOCKETS[..]);
    let mut clients = ASKED.each_mut().map(|(rx, tx)| (add(&mut sockets, rx, tx), Client::default()));
    let mut readers = READ.each_mut().map(|(rx, tx)| (add(&mut sockets, rx, tx), Reader::EMPTY));
    let mut puller = (add(&mut sockets, &mut PULLED.0, &mut PULLED.1), Puller::default());
    #[cfg(feature = "defmt")]
    defmt::info!("address: 10.0.2.15");
    loop {
        iface.poll(now(), &mut port, &mut sockets);
        for (handle, client) in &mut clients {
            client.go_on(sockets.get_mut(*handle), &told, &mut puller.1);
        }
        for (handle, reader) in &mut readers {
            reader.go_on(sockets.get_mut(*handle), &told);
        }
        if let Some(from) = told.scrape {
            puller.1.go_on(sockets.get_mut(puller.0), iface.context(), from);
        }
        let moved = iface.poll(now(), &mut port, &mut sockets) == PollResult::SocketStateChanged;
        let wait = iface.poll_delay(now(), &sockets).map_or(u64::MAX, |wait| wait.total_micros());
        // What has come, or ended, since they were looked at.
        let wait = if moved || puller.1.has_news() { 0 } else { wait };
        sleep::sleep(port.board(), wait);
    }
}

fn now() -> Instant {
    Instant::from_micros(i64::try_from(clock::micros()).unwrap_or(i64::MAX))
}

fn add<'s>(sockets: &mut SocketSet<'s>, rx: &'s mut [u8], tx: &'s mut [u8]) -> SocketHandle {
    let mut socket = Socket::new(SocketBuffer::new(rx), SocketBuffer::new(tx));
    socket.set_nagle_enabled(false);
    sockets.add(socket)
}

/// Who is answered so many bytes for so many that came.
#[derive(Default)]
struct Client {
    came: usize,
    /// The scrape whose end it waits for.
    waits: Option<u32>,
    owed: usize,
}

impl Client {
    fn go_on(&mut self, socket: &mut Socket<'_>, told: &Told, puller: &mut Puller) {
        if !socket.is_open() {
            *self = Self::default();
            let _ = socket.listen(PCP);
        }
        while socket.can_recv() {
            let came = socket.recv(|bytes| (bytes.len(), bytes.len())).unwrap_or(0);
            self.came = self.came.saturating_add(came);
        }
        if self.waits.is_none() && self.came >= told.request {
            self.came = self.came.saturating_sub(told.request);
            self.waits = Some(if told.scrape.is_some() { puller.wanted() } else { 0 });
        }
        if self.waits.is_some_and(|scrape| puller.has_had(scrape)) {
            self.waits = None;
            self.owed = self.owed.saturating_add(told.answer);
        }
        send(socket, &mut self.owed);
        if socket.state() == State::CloseWait && self.owed == 0 {
            socket.close();
        }
    }
}

/// Sends of what is owed as much as there is room for.
fn send(socket: &mut Socket<'_>, owed: &mut usize) {
    while *owed > 0 && socket.can_send() {
        let text = TEXT.get(..TEXT.len().min(*owed)).unwrap_or_default();
        *owed = owed.saturating_sub(socket.send_slice(text).unwrap_or(0));
    }
}

/// Who wants a page.
struct Reader {
    /// How much of the end of a request has come.
    ended: usize,
    /// What it still gets.
    owed: Option<usize>,
}

impl Reader {
    const EMPTY: Self = Self { ended: 0, owed: None };

    fn go_on(&mut self, socket: &mut Socket<'_>, told: &Told) {
        if !socket.is_open() {
            *self = Self::EMPTY;
            let _ = socket.listen(HTTP);
        }
        while socket.can_recv() {
            let ended = &mut self.ended;
            let _ = socket.recv(|bytes| {
                for byte in bytes.iter() {
                    *ended = if END.get(*ended) == Some(byte) { ended.saturating_add(1) } else { 0 };
                }
                (bytes.len(), ())
            });
            if self.ended == END.len() {
                self.ended = 0;
                self.owed = Some(told.page);
                let _ = socket.send_slice(OK);
            }
        }
        if let Some(owed) = &mut self.owed {
            send(socket, owed);
            if *owed == 0 {
                socket.close();
            }
        } else if socket.state() == State::CloseWait {
            socket.close();
        }
    }
}

/// Who reads another's page.
#[derive(Default)]
struct Puller {
    /// Scrapes that were wanted, begun and ended.
    wanted: u32,
    begun: u32,
    ended: u32,
    /// Whether somebody may go on who waited.
    news: bool,
    has_asked: bool,
    port: u16,
}

impl Puller {
    /// Wants the scrape that begins next.
    fn wanted(&mut self) -> u32 {
        self.wanted = self.begun.saturating_add(1);
        self.news = true;
        self.wanted
    }

    const fn has_had(&self, scrape: u32) -> bool {
        self.ended >= scrape
    }

    const fn has_news(&mut self) -> bool {
        core::mem::replace(&mut self.news, false)
    }

    fn go_on(&mut self, socket: &mut Socket<'_>, stack: &mut smoltcp::iface::Context, from: IpEndpoint) {
        while socket.can_recv() {
            let _ = socket.recv(|bytes| (bytes.len(), ()));
        }
        if !self.has_asked && socket.may_send() {
            self.has_asked = socket.send_slice(GET).is_ok();
        }
        let is_over = !socket.may_recv() && socket.state() != State::SynSent;
        if self.begun > self.ended && is_over {
            socket.close();
            self.ended = self.begun;
            self.news = true;
        }
        if self.wanted > self.begun && self.begun == self.ended {
            socket.abort();
            self.port = FIRST | self.port.wrapping_add(1) & !FIRST;
            self.has_asked = false;
            if socket.connect(stack, from, self.port).is_ok() {
                self.begun = self.begun.saturating_add(1);
            }
        }
    }
}

/// What QEMU's arguments say.
struct Told {
    page: usize,
    request: usize,
    answer: usize,
    scrape: Option<IpEndpoint>,
}

impl Told {
    /// Listens; `None` where something is said that means nothing.
    fn listen() -> Option<Self> {
        let arguments = args::<512>().ok()?;
        let mut told = Self { page: 1024, request: 64, answer: 64, scrape: None };
        for argument in arguments.skip(1) {
            let (word, text) = argument.ok()?.split_once('=')?;
            match word {
                "page" => told.page = text.parse().ok()?,
                "request" => told.request = text.parse().ok().filter(|bytes| *bytes > 0)?,
                "answer" => told.answer = text.parse().ok()?,
                "scrape" => {
                    let (address, port) = text.split_once(':')?;
                    let address: Ipv4Addr = address.parse().ok()?;
                    told.scrape = Some(IpEndpoint::new(IpAddress::Ipv4(address), port.parse().ok()?));
                }
                _ => return None,
            }
        }
        Some(told)
    }
}

#[exception]
fn SysTick() {
    clock::tick();
}

/// As many sockets as the appliance has.
const CLIENTS: usize = 3;
const READERS: usize = 2;
const PCP: u16 = 44_321;
const HTTP: u16 = 9100;
/// Where local ports begin.
const FIRST: u16 = 0xc000;
/// The status where the settings are none.
const USAGE: i32 = 2;
/// The end of a request.
const END: &[u8; 4] = b"\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n\r\n";
const GET: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: plain\r\nConnection: close\r\n\r\n";
/// What is sent, again and again.
const TEXT: &[u8; 512] = &[b'#'; 512];
