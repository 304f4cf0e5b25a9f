//! Sessions over a pipe in memory, in the simulator's time.
