//! The loop: frames, clients, neighbours.

use pmbridge_core::{
    role::{Context, Role},
    store::{Storage, Store},
    time::{Duration, Instant, Timestamp},
};
use smoltcp::{
    iface::{Interface, SocketHandle, SocketSet},
    phy::Device,
    socket::tcp::Socket,
};

use crate::{
    conn::Conn,
    memory::{CLIENTS, Client, WINDOW},
    target::Target,
};

/// The PCP clients of one port. The neighbours are lent for each poll, for every firmware has its own.
#[derive(Debug)]
pub struct Bridge {
    port: u16,
    clients: [(SocketHandle, Option<Conn<Client, WINDOW>>); CLIENTS],
}

impl Bridge {
    /// Listens on `port` with these sockets as soon as it is polled.
    pub fn new(port: u16, sockets: [SocketHandle; CLIENTS]) -> Self {
        Self { port, clients: sockets.map(|socket| (socket, None)) }
    }

    /// Moves whatever can be moved. To be called when a frame came, and a few times a second.
    pub fn poll<S: Storage>(
        &mut self,
        store: &mut Store<S>,
        targets: &mut [Target<'_>],
        (iface, device, sockets): (&mut Interface, &mut (impl Device + ?Sized), &mut SocketSet<'_>),
        (now, wall): (Instant, Timestamp),
    ) {
        let stack_now = smoltcp::time::Instant::from_millis(i64::try_from(now.millis()).unwrap_or(i64::MAX));
        let mut cx = Context { store, now, wall };
        loop {
            iface.poll(stack_now, device, sockets);
            let mut moved = self.poll_clients(&mut cx, sockets);
            // A document must not change what an answer has promised.
            if !self.is_busy::<S>() {
                for target in targets.iter_mut() {
                    let socket = sockets.get_mut::<Socket<'_>>(target.socket);
                    moved |= target.poll(&mut cx, socket, iface.context());
                }
            }
            if !moved {
                break;
            }
        }
        iface.poll(stack_now, device, sockets);
    }

    fn poll_clients<S: Storage>(&mut self, cx: &mut Context<'_, S>, sockets: &mut SocketSet<'_>) -> bool {
        let mut moved = false;
        for (handle, client) in &mut self.clients {
            let socket = sockets.get_mut::<Socket<'_>>(*handle);
            if !socket.is_active() {
                *client = None;
                if !socket.is_listening() {
                    socket.abort();
                    moved |= socket.listen(self.port).is_ok();
                }
                continue;
            }
            socket.set_timeout(Some(STALLED));
            let conn = client.get_or_insert_with(|| Conn::new(Client::new(PATIENCE)));
            match conn.poll(cx, socket) {
                Ok(any) => {
                    moved |= any;
                    let waits = Role::<S>::is_busy(conn.role()) || Role::<S>::deadline(conn.role()).is_some();
                    if !socket.may_recv() && socket.may_send() && !waits {
                        socket.close();
                    }
                }
                Err(_) => {
                    socket.abort();
                    *client = None;
                }
            }
        }
        moved
    }

    fn is_busy<S: Storage>(&self) -> bool {
        self.clients.iter().any(|(_, conn)| conn.as_ref().is_some_and(|c| Role::<S>::is_busy(c.role())))
    }
}

/// How long an answer waits for neighbours. Clients give up after 10 s.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long a client may leave what it was sent unacknowledged, before it is dropped.
const STALLED: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(20);
