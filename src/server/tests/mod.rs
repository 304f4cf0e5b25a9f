//! Commands without sockets, and sessions over a pipe in memory.

mod commands;
mod sessions;

use std::sync::Arc;

use super::client::Client;
use super::execute::execute;
use super::resp::{Decoder, Limits};
use super::state::State;
use super::world::World;
use crate::base::Moment;
use crate::runtime::{Rt, Smol};

/// A server without sessions: what a client says is executed, and the answer comes back.
struct Desk {
    rt: Rt,
    world: World,
}

/// Who stands at a desk.
struct Guest {
    client: Arc<Client>,
    state: State,
    decoder: Decoder,
}

impl Desk {
    fn new() -> Desk {
        Desk { rt: Rt::new(Smol::global()), world: World::default() }
    }

    fn guest(&mut self) -> Guest {
        let id = self.world.number();
        let client = Arc::new(Client::new(id, [None, None], Moment::ZERO, 1 << 20));
        self.world.clients.insert(id, client.clone());
        let authenticated = self.world.config.password.is_none();
        Guest {
            client,
            state: State { authenticated, ..State::default() },
            decoder: Decoder::new(Limits::default()),
        }
    }

    /// What is answered to lines as a person types them; ends of line are shown as blanks.
    #[track_caller]
    fn say(&mut self, guest: &mut Guest, lines: &str) -> String {
        let (text, mut out) = (format!("{lines}\r\n"), Vec::new());
        let mut input = text.as_bytes();
        while let Some(request) = guest.decoder.decode(&mut input).unwrap() {
            execute(&self.rt, &mut self.world, (&guest.client, &mut guest.state), request, &mut out);
        }
        shown(out)
    }

    /// What others sent to a guest.
    fn heard(guest: &Guest) -> String {
        let mut out = Vec::new();
        guest.client.take(&mut out, usize::MAX);
        shown(out)
    }
}

fn shown(out: Vec<u8>) -> String {
    String::from_utf8(out).unwrap().replace("\r\n", " ").trim_end().to_string()
}
