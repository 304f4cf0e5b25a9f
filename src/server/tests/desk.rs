//! A server without sockets, for tests of its commands.

use std::sync::Arc;

use crate::base::Moment;
use crate::runtime::{Rt, Smol};
use crate::server::client::{Client, Doom};
use crate::server::execute::execute;
use crate::server::resp::{Decoder, Limits};
use crate::server::state::State;
use crate::server::world::World;

/// A server without sessions: what a client says is executed, and the answer comes back.
pub(super) struct Desk {
    rt: Rt,
    pub(super) world: World,
}

/// Who stands at a desk.
pub(super) struct Guest {
    client: Arc<Client>,
    state: State,
    decoder: Decoder,
}

impl Guest {
    /// Whether its session is to end.
    pub(super) fn quits(&self) -> bool {
        self.state.quits
    }

    pub(super) fn doomed(&self) -> Option<Doom> {
        self.client.doomed()
    }
}

impl Desk {
    pub(super) fn new() -> Desk {
        Desk { rt: Rt::new(Smol::global()), world: World::default() }
    }

    pub(super) fn now(&self) -> Moment {
        self.rt.now()
    }

    pub(super) fn guest(&mut self) -> Guest {
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
    pub(super) fn say(&mut self, guest: &mut Guest, lines: &str) -> String {
        let (text, mut out) = (format!("{lines}\r\n"), Vec::new());
        let mut input = text.as_bytes();
        while let Some(request) = guest.decoder.decode(&mut input).unwrap() {
            execute(&self.rt, &mut self.world, (&guest.client, &mut guest.state), request, &mut out);
        }
        shown(out)
    }

    /// What others sent to a guest.
    pub(super) fn heard(guest: &Guest) -> String {
        let mut out = Vec::new();
        guest.client.take(&mut out, usize::MAX);
        shown(out)
    }
}

fn shown(out: Vec<u8>) -> String {
    String::from_utf8(out).unwrap().replace("\r\n", " ").trim_end().to_string()
}
