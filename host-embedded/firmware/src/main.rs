//! pmbridge on a Cortex-M3: an appliance that answers PCP and Prometheus.
#![no_std]
#![no_main]

mod bare;
mod board;
mod clock;
mod counts;
mod end;
mod port;
mod sleep;

#[cfg(feature = "defmt")]
use defmt_semihosting as _;

use cortex_m_rt::entry;
use pmbridge_core::{
    pcp::{Semantics, Type, Units},
    store::{Declaration, Instance, Instances, Published, Store},
    time::Timestamp,
};
use pmbridge_embedded::{
    Bridge,
    memory::{CLIENTS, Memory, RX, TX},
};
use smoltcp::{
    iface::{Config, Interface, SocketSet, SocketStorage},
    socket::tcp::{Socket, SocketBuffer},
    wire::{EthernetAddress, IpAddress, IpCidr},
};

use crate::{
    board::Board,
    port::{FRAME, Port},
};

#[cfg(feature = "defmt")]
defmt::timestamp!("{=u64:us}", clock::micros());

#[entry]
fn main() -> ! {
    static mut FRAMES: [[u8; FRAME]; 2] = [[0; FRAME]; 2];
    static mut STORE: Store<Memory> = Store::new(Memory::new(), 144, 1);
    static mut RXS: [[u8; RX]; CLIENTS] = [[0; RX]; CLIENTS];
    static mut TXS: [[u8; TX]; CLIENTS] = [[0; TX]; CLIENTS];
    static mut SOCKETS: [SocketStorage<'static>; CLIENTS] = [SocketStorage::EMPTY; CLIENTS];

    let Some(peripherals) = cortex_m::Peripherals::take() else { end::fault() };
    let board = Board::start();
    clock::start(peripherals.SYST);
    let mac = board.mac();
    let mut port = Port::new(board, FRAMES);
    let now = || smoltcp::time::Instant::from_micros(i64::try_from(clock::micros()).unwrap_or(i64::MAX));
    let mut iface = Interface::new(Config::new(EthernetAddress(mac).into()), &mut port, now());
    iface.update_ip_addrs(|all| _ = all.push(IpCidr::new(IpAddress::v4(10, 0, 2, 15), 24)));
    let mut sockets = SocketSet::new(&mut SOCKETS[..]);
    let mut buffers = RXS.iter_mut().zip(TXS.iter_mut());
    let handles = core::array::from_fn(|_| {
        let Some((rx, tx)) = buffers.next() else { end::fault() };
        sockets.add(Socket::new(SocketBuffer::new(&mut rx[..]), SocketBuffer::new(&mut tx[..])))
    });
    let mut bridge = Bridge::new(44_321, handles);
    let store = STORE;
    let Ok(own) = store.add_source("device", "", None) else { end::fault() };
    let declaration = Declaration {
        name: "device.uptime",
        help: "Seconds since boot.",
        kind: Type::U64,
        semantics: Semantics::COUNTER,
        units: Units::SECOND,
        instances: Instances::One,
        item: None,
        storable: false,
        aside: false,
    };
    let Ok(uptime) = store.declare(own, &declaration) else { end::fault() };
    #[cfg(feature = "defmt")]
    defmt::info!("up: {=str}, stack {=usize}", board::NAME, bare::stack_peak());
    loop {
        let micros = clock::micros();
        let _ = store.publish(uptime, Instance::named(""), Published::Bits(micros / 1_000_000));
        let at = pmbridge_core::time::Instant::from_millis(micros / 1000);
        let wall = Timestamp { secs: 1_700_000_000, nanos: 0 };
        bridge.poll(store, &mut [], (&mut iface, &mut port, &mut sockets), (at, wall));
        let wait = iface.poll_delay(now(), &sockets).map_or(u64::MAX, |wait| wait.total_micros());
        sleep::sleep(port.board(), wait);
    }
}
