//! Does an actor keep its own rules? The wider suite is in tests/it.
