//! Does the mailbox keep its rules: places, the line, control first, the budget, exact cancellation? (G2, G16, G17)
#![cfg(not(callboard_shuttle))]

mod bound;
mod ending;
mod kit;
mod known;
mod lanes;
mod line_order;
mod model;
mod pure_line;
mod sink;
mod threads;
mod weight;
