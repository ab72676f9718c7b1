//! A request on its way in: read where it lies, or taken in piece by piece.
//!
//! A role that was lent memory for it takes each request in as it comes, so that its window may be shorter than any
//! request, down to one byte. One that was lent none leaves a request in the window until it is answered, and needs a
//! window as long as that. Nothing else differs: an answer is made from a [`Request`], wherever that lies.

use super::{
    Context,
    answer::Answerer,
    names::{Listed, Roll},
};
use crate::{
    pcp::Status,
    pdu::{self, Header, Kind, pmns::Names, profile::Kept},
    store::Storage,
    wire::{Writer, size},
};

/// A request, as much as there is of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) kind: Kind,
    pub(super) body: Body<'a>,
}

/// What is at hand of a request's body.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body<'a> {
    /// All of it.
    Sent(&'a [u8]),
    /// The ids of the names that it was, or why they cannot be had.
    Found(Result<Listed<'a>, Status>),
    /// The beginning of one that is longer than the memory for it.
    Cut(&'a [u8]),
}

impl<'a> Request<'a> {
    /// The body as it was sent, or why it is not at hand.
    pub(super) const fn sent(&self) -> Result<&'a [u8], Status> {
        match self.body {
            Body::Sent(body) => Ok(body),
            Body::Cut(_) => Err(Status::TOOBIG),
            Body::Found(_) => Err(Status::IPC),
        }
    }

    /// The names of a question for their ids, or those ids.
    pub(super) fn listed(&self) -> Result<Listed<'a>, Status> {
        match self.body {
            Body::Found(found) => found,
            _ => Names::parse(self.sent()?).map(Listed::Names).map_err(|_| Status::IPC),
        }
    }
}

/// Takes requests in, one after the other.
#[derive(Debug)]
pub(super) struct Intake<M> {
    memory: M,
    arrival: Arrival,
}

impl<M> Intake<M> {
    pub(super) const fn new(memory: M) -> Self {
        Self { memory, arrival: Arrival::NEW }
    }

    /// Gives the memory back, with what is in it.
    pub(super) fn take_memory(&mut self) -> M
    where
        M: Default,
    {
        core::mem::take(&mut self.memory)
    }

    /// Whether nothing of a request was taken in.
    pub(super) const fn is_empty(&self) -> bool {
        self.arrival.came == 0
    }

    /// The request was answered: the next one may come.
    pub(super) const fn clear(&mut self) {
        self.arrival = Arrival::NEW;
    }
}

impl<M: AsRef<[u8]> + AsMut<[u8]>> Intake<M> {
    /// The header of the request that the stream is at, `None` while it arrives; and how many bytes were taken in.
    pub(super) fn head(&mut self, input: &[u8]) -> Result<(Option<Header>, usize), pdu::Error> {
        if self.memory.as_ref().is_empty() {
            return Ok((Header::parse(input)?, 0));
        }
        self.arrival.head(input)
    }

    /// Takes in what came behind the header, and says how many bytes.
    ///
    /// Names are looked up as they come, as soon as it is time to answer questions about names.
    pub(super) fn body<S: Storage>(
        &mut self,
        cx: &mut Context<'_, S>,
        answerer: &mut Answerer,
        header: Header,
        input: &[u8],
    ) -> usize {
        if self.memory.as_ref().is_empty() {
            return 0;
        }
        self.arrival.body(self.memory.as_mut(), cx, answerer, header, input)
    }

    /// The request, once it is whole; and how many bytes of input are to be consumed with its answer's last byte.
    pub(super) fn request<'a>(&'a self, header: Header, input: &'a [u8]) -> Option<(Request<'a>, usize)> {
        if self.memory.as_ref().is_empty() {
            let len = size(header.len);
            let body = Body::Sent(input.get(Header::LEN..len)?);
            return Some((Request { kind: header.kind, body }, len));
        }
        self.arrival.request(self.memory.as_ref(), header).map(|request| (request, 0))
    }
}

/// How far a request has come.
#[derive(Debug)]
struct Arrival {
    head: [u8; Header::LEN],
    /// Bytes of the request that came.
    came: usize,
    /// What is kept of its body.
    kept: Kept,
    roll: Roll,
}

impl Arrival {
    const NEW: Self = Self { head: [0; Header::LEN], came: 0, kept: Kept::other(), roll: Roll::NEW };

    fn head(&mut self, input: &[u8]) -> Result<(Option<Header>, usize), pdu::Error> {
        let mut w = Writer::new(self.head.get_mut(self.came..).unwrap_or_default());
        w.bytes(input);
        let taken = w.written();
        self.came = self.came.saturating_add(taken);
        let head = self.head.get(..self.came).unwrap_or(&self.head);
        Ok((Header::parse(head)?, taken))
    }

    fn body<S: Storage>(
        &mut self,
        memory: &mut [u8],
        cx: &mut Context<'_, S>,
        answerer: &mut Answerer,
        header: Header,
        input: &[u8],
    ) -> usize {
        let left = size(header.len).saturating_sub(self.came);
        let piece = input.get(..left).unwrap_or(input);
        if header.kind == Kind::PMNS_NAMES {
            let request = Request { kind: header.kind, body: Body::Sent(&[]) };
            if !answerer.is_ready(cx, request) {
                return 0;
            }
            self.roll.take(&answerer.scope(cx), memory, piece, left);
        } else {
            if header.kind == Kind::PROFILE && self.came == Header::LEN {
                self.kept = Kept::profile();
            }
            self.kept.take(memory, piece);
        }
        self.came = self.came.saturating_add(piece.len());
        piece.len()
    }

    fn request<'a>(&self, memory: &'a [u8], header: Header) -> Option<Request<'a>> {
        let (kind, len) = (header.kind, size(header.len));
        if self.came < len {
            return None;
        }
        let kept = memory.get(..self.kept.len).unwrap_or_default();
        let body = match kind {
            Kind::PMNS_NAMES => Body::Found(self.roll.found(memory)),
            _ if self.kept.is_cut => Body::Cut(kept),
            _ => Body::Sent(kept),
        };
        Some(Request { kind, body })
    }
}
