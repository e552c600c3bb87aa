//! A way over TCP that can be cut: it listens on a port of its own and leads to another one, which may change. A program that is told the
//! link's port finds whatever stands behind it, as behind a service's name.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use crate::process::free_port;

/// What becomes of bytes and connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// They pass.
    Open,
    /// They pass, each piece this much later.
    Slow(Duration),
    /// Connections are closed, the open ones and the new ones: the other side is gone, and its machine says so.
    Cut,
    /// Nothing passes and nobody is told, as behind a firewall that drops. What was on its way arrives when the link is open again.
    Swallowed,
}

/// A link; it ends with the test's process.
pub struct Link {
    /// Where it is reached on 127.0.0.1.
    pub port: u16,
    state: Arc<State>,
}

struct State {
    way: Mutex<Way>,
    changed: Condvar,
    connections: AtomicU32,
}

struct Way {
    target: u16,
    passage: Passage,
    open: Vec<TcpStream>,
}

impl Link {
    /// An open link to a port.
    pub fn to(target: u16) -> Self {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the link's port");
        let way = Way { target, passage: Passage::Open, open: Vec::new() };
        let state =
            Arc::new(State { way: Mutex::new(way), changed: Condvar::new(), connections: AtomicU32::new(0) });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || drop(state.join(client)));
            }
        });
        Self { port, state }
    }

    /// Does this from now on, with the connections that are open, too.
    pub fn set(&self, passage: Passage) {
        let mut way = self.state.lock();
        way.passage = passage;
        if passage == Passage::Cut {
            way.close_all();
        }
        drop(way);
        self.state.changed.notify_all();
    }

    /// Leads new connections to another port and closes the open ones.
    pub fn lead_to(&self, target: u16) {
        let mut way = self.state.lock();
        way.target = target;
        way.close_all();
    }

    /// How many connections were asked for so far, with those that were closed at once.
    pub fn connections(&self) -> u32 {
        self.state.connections.load(Ordering::Relaxed)
    }
}

impl Way {
    fn close_all(&mut self) {
        for stream in self.open.drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Way> {
        self.way.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits as long as everything is swallowed; what to do with the next piece.
    fn passage(&self) -> Passage {
        let way = self.lock();
        let way = self.changed.wait_while(way, |way| way.passage == Passage::Swallowed);
        way.unwrap_or_else(std::sync::PoisonError::into_inner).passage
    }

    fn join(self: Arc<Self>, client: TcpStream) -> io::Result<()> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.passage();
        let server = {
            let mut way = self.lock();
            if way.passage == Passage::Cut {
                return Ok(());
            }
            let server = TcpStream::connect(("127.0.0.1", way.target))?;
            way.open.retain(|stream| stream.peer_addr().is_ok());
            way.open.extend([client.try_clone()?, server.try_clone()?]);
            server
        };
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (back, state) = ((server.try_clone()?, client.try_clone()?), Arc::clone(&self));
        thread::spawn(move || state.pump(back.0, back.1));
        self.pump(client, server);
        Ok(())
    }

    /// Carries bytes one way until one side ends.
    fn pump(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = [0; 16 * 1024];
        loop {
            let count = from.read(&mut bytes).unwrap_or(0);
            if let Passage::Slow(time) = self.passage() {
                thread::sleep(time);
            }
            if count == 0 || to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        drop(from.shutdown(Shutdown::Both));
        drop(to.shutdown(Shutdown::Both));
    }
}
