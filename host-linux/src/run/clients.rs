//! Who asks: clients that come, the turns of all peers, and who is shown out.

use std::io;

use mio::Interest;
use pmbridge_core::role::{Context, collector::Collector};
use pmbridge_core::time::Duration;

use super::{Host, MINUTE, PATIENCE, budget, peer_token};
use crate::clock::wall;
use crate::peer::{Fate, Peer, Side};

impl Host {
    /// Takes the clients that have come.
    pub(super) fn accept(&mut self) {
        let now = self.now();
        if self.accept_at.is_some_and(|at| now >= at) {
            self.accept_at = None;
            self.accepting = true;
        }
        let mut turned_away = false;
        while self.accepting {
            let Some(listener) = &self.listener else { return };
            match listener.accept() {
                Ok((stream, _)) => {
                    if self.peers.iter().flatten().count() >= self.options.limits.clients {
                        self.refused_clients = self.refused_clients.saturating_add(1);
                        turned_away = true;
                    } else {
                        self.welcome(stream);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.accepting = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if budget::is_exhausted(&error) && self.close_idlest() => {}
                Err(error) => {
                    // Who waits in the backlog is not announced again.
                    self.accepting = false;
                    self.accept_at = Some(now.saturating_add(PAUSE));
                    self.warn_seldom(format!("cannot accept a client: {error}"));
                }
            }
        }
        if turned_away {
            let most = self.options.limits.clients;
            self.warn_seldom(format!("clients turned away: {most} are connected (--max-clients)"));
        }
    }

    fn welcome(&mut self, mut stream: mio::net::TcpStream) {
        let place = self.peers.iter().position(Option::is_none).unwrap_or_else(|| {
            self.peers.push(None);
            self.peers.len().saturating_sub(1)
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut stream, peer_token(place), interest);
        let now = self.now();
        if let (Ok(()), Some(slot)) = (registered, self.peers.get_mut(place)) {
            let _ = stream.set_nodelay(true);
            let role = Collector::new(PATIENCE);
            *slot = Some(Peer::new(Side::Collector(stream, Box::new(role)), now));
        }
    }

    /// Lets every peer move that can.
    pub(super) fn pump_peers(&mut self) {
        let (now, wall) = (self.now(), wall());
        for place in 0..self.peers.len() {
            let Some(Some(peer)) = self.peers.get_mut(place) else { continue };
            let mut cx = Context { store: &mut self.store, now, wall };
            let fate = peer.pump(&mut cx);
            if !self.was_ready && peer.is_ready() {
                self.was_ready = true;
                self.log.info("Ready to process requests");
            }
            match fate {
                Fate::Stays => continue,
                Fate::Left => {}
                Fate::Dropped(why) => {
                    self.refused_clients = self.refused_clients.saturating_add(1);
                    self.warn_seldom(format!("connection closed: {why}"));
                }
            }
            if let Some(slot) = self.peers.get_mut(place) {
                *slot = None;
            }
        }
    }

    /// Logs a warning, each sort once a minute: whoever connects could fill the log otherwise.
    pub(super) fn warn_seldom(&mut self, why: String) {
        let now = self.now();
        self.warned.retain(|_, at| now.saturating_since(*at) < MINUTE);
        if self.warned.len() < MOST_WARNINGS && !self.warned.contains_key(&why) {
            self.log.warning(&why);
            self.warned.insert(why, now);
        }
    }
}

/// Sorts of warnings that are remembered at once.
const MOST_WARNINGS: usize = 32;
/// How long no client is accepted after that has failed.
const PAUSE: Duration = Duration::from_millis(200);
