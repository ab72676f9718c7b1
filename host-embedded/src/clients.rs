//! PCP clients: one collector each, for as long as they are connected.

use pmbridge_core::{
    role::{Context, Role as _, collector::Collector},
    store::Store,
    time::{Duration, Instant},
};
use smoltcp::socket::tcp::Socket;

use crate::{
    conn::{self, Fate, Line, Over, Worth},
    log,
    memory::{Later, Role, Slices},
    stats::Stats,
};

/// The port of PCP.
pub(crate) const PORT: u16 = 44_321;

/// A place for a client.
#[derive(Debug)]
pub(crate) struct Client<'m> {
    pub(crate) line: Line,
    role: Later<Role<'m>>,
    /// Where requests are taken in, while nobody is there.
    memory: Option<&'m mut [u8]>,
}

impl<'m> Client<'m> {
    /// With nobody there.
    pub(crate) const NONE: Self = Self { line: Line::NONE, role: Later::Not, memory: None };

    /// Gives it memory to take requests in.
    pub(crate) const fn give(&mut self, memory: &'m mut [u8]) {
        self.memory = Some(memory);
    }

    /// Lets it go on; whether there is more to do at once.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_, Slices<'_>>,
        (socket, window): (&mut Socket<'_>, &mut [u8]),
        stats: &mut Stats,
    ) -> bool {
        match self.line.look(socket, PORT, cx.now) {
            Fate::Free | Fate::Between => {
                self.vacate();
                return false;
            }
            Fate::Late => return self.end(socket, &mut stats.timed_out),
            Fate::New => {
                log::client(socket.remote_endpoint());
                self.welcome();
                stats.clients_served = stats.clients_served.wrapping_add(1);
            }
            Fate::Goes => {}
        }
        let Some(role) = self.role.as_mut() else { return false };
        let moved =
            conn::pump(socket, window, &mut |input, room| role.step(cx, input, room).map_err(|_| Over));
        let Ok(moved) = moved else { return self.end(socket, &mut stats.out_of_step) };
        let (is_busy, waits) = (is_busy(role), deadline(role).is_some());
        let is_asking = (!role.is_idle() || socket.can_recv()) && !is_busy && !waits;
        self.line.note(socket, moved, (is_asking, is_busy), cx.now);
        let is_mute = !role.is_greeted() && cx.now >= self.line.since().saturating_add(GREETING);
        if is_mute || cx.now >= self.line.deadline(cx.store.is_held()) {
            return self.end(socket, &mut stats.timed_out);
        }
        // One that is held back may have something to say yet.
        let waits = waits || cx.store.is_held();
        if !socket.may_recv() && socket.may_send() && !moved.worked && !is_busy && !waits {
            socket.close();
        }
        moved.worked
    }

    /// Makes a role for who has come. What it takes of the stack is free again behind this.
    #[inline(never)]
    fn welcome(&mut self) {
        self.vacate();
        self.role.make(Collector::with_memory(PATIENCE, self.memory.take().unwrap_or_default()));
    }

    /// Nobody is there any more: the memory is the next one's.
    #[inline(never)]
    fn vacate(&mut self) {
        if let Some(role) = self.role.as_mut() {
            self.memory = Some(role.take_memory());
        }
        self.role.clear();
    }

    /// Ends the connection at once.
    fn end(&mut self, socket: &mut Socket<'_>, count: &mut u32) -> bool {
        *count = count.wrapping_add(1);
        socket.abort();
        self.vacate();
        true
    }

    /// Whether an answer is half out.
    pub(crate) fn is_busy(&self) -> bool {
        self.role.as_ref().is_some_and(is_busy)
    }

    /// Whether somebody is there.
    pub(crate) const fn is_taken(&self) -> bool {
        self.role.as_ref().is_some()
    }

    /// When to go on though nothing has come.
    pub(crate) fn deadline(&self, is_owed: bool) -> Instant {
        let mut by = self.line.deadline(is_owed);
        if let Some(role) = self.role.as_ref() {
            by = by.min(deadline(role).unwrap_or(Instant::NEVER));
            if !role.is_greeted() {
                by = by.min(self.line.since().saturating_add(GREETING));
            }
        }
        by
    }

    /// For how little another may have its place.
    pub(crate) fn worth(&self, now: Instant) -> Option<(Worth, Instant)> {
        let role = self.role.as_ref();
        let is_mute = !role.is_some_and(Role::is_greeted);
        let is_idle = role.is_some_and(Role::is_idle);
        self.line.worth((is_mute, is_idle), SAMPLES, now)
    }

    /// Nobody is there any more.
    pub(crate) fn leave(&mut self) -> &mut Line {
        self.vacate();
        &mut self.line
    }
}

fn is_busy(role: &Role<'_>) -> bool {
    pmbridge_core::role::Role::<Slices<'_>>::is_busy(role)
}

fn deadline(role: &Role<'_>) -> Option<Instant> {
    pmbridge_core::role::Role::<Slices<'_>>::deadline(role)
}

/// The store of an agent.
pub(crate) type Known<'m> = Store<Slices<'m>>;

/// How long an answer waits for neighbours. Clients give up after 10 s.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long a client that samples may say nothing between two samples before another may have its place: pmlogger comes
/// once a minute where nobody tells it otherwise, and a pmval that loses its connection ends.
const SAMPLES: Duration = Duration::from_secs(90);
/// How long a client may take to say who it is.
const GREETING: Duration = Duration::from_secs(10);
