//! Are requests read as Redis reads them, in whatever pieces, within bounds; and are replies what its clients expect?

mod memory;
mod noise;
mod oracle;
mod pieces;
mod replies;
mod requests;
mod support;
