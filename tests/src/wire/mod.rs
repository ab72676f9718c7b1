//! Machines on an Ethernet in this process: cables with faults that a seed decides, and peers with a TCP/IP of their own.
//!
//! A [`Station`] is one machine: it plays PCP clients and Prometheus servers ([`Talk`]) and what they scrape
//! ([`Neighbour`]), over a [`Lane`] for each direction. What is at the other end takes frames and gives frames: an agent
//! in this process behind a [`Port`], or one in QEMU behind a [`Hub`]. [`Flood`] makes the frames that no honest machine
//! sends. Nothing here knows what time it is; the same seed gives the same frames.

mod flood;
mod hub;
mod lane;
mod neighbour;
mod pcp;
mod port;
mod station;
mod survey;
mod talk;

pub use flood::{Flood, Plague};
pub use hub::Hub;
pub use lane::{Faults, Lane};
pub use neighbour::{End, Neighbour, Serve};
pub use pcp::{
    ALL_NAMES, children, credentials, desc, descs, fetch, ids, instances, labels, names, pdu, text,
};
pub use port::{Port, Received, Sending, Work};
pub use station::{Station, address, mac};
pub use survey::{Ask, PAGE, survey};
pub use talk::{Protocol, Round, Talk};
