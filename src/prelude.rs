//! The few names that most programs need: `use callboard::prelude::*;`.

pub use crate::actor::{Actor, Address, Context, Ended, Exit, System};
pub use crate::base::Fault;
pub use crate::broker::{
    Broker, Consumer, DeadLetter, Delivery, DeliveryStream, ErrorKind, Group, Message, MessageId, Outcome,
    Overflow, Retry, Start, Topic, UnlessDropped,
};
pub use crate::mailbox::Reply;
pub use crate::supervise::{ChildSpec, Supervisor, SupervisorHandle};
