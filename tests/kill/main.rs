//! What is left on a real disk when a process is killed, and what does a broker do when the disk refuses?
//!
//! Each test starts this program again, as a process with a role ([`process`]), and watches it from outside:
//!
//! ```text
//!   test ──starts──▶ this program, in a role ──▶ broker ──▶ directory
//!     ▲                  │ lines: confirmed, got, settled       │
//!     └── kill -9 ───────┴──────── again, on the same ──────────┘
//! ```
//! `CB_ROUNDS=200 cargo test --test kill` kills so many times, and not 20.
#![cfg(all(test, target_os = "linux"))]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected should end there"
)]
#![expect(clippy::print_stdout, reason = "a test says why it was skipped, and what it counted")]

mod faults;
mod oracle;
mod power;
mod process;
mod refused;
mod rounds;
