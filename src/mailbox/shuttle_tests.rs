//! Is there a schedule of threads in which the lock and the atomics lose a message or a wake-up?
#![cfg(callboard_shuttle)]
