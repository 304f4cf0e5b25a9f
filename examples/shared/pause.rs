//! A wait on the timer of the runtime that the code runs in.

use std::time::Duration;

/// Waits for so long at least. tokio's timer counts in milliseconds.
#[expect(
    clippy::disallowed_methods,
    reason = "an example's own task waits, outside of what a simulator sees"
)]
pub(crate) async fn pause(time: Duration) {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => tokio::time::sleep(time).await,
        Err(_) => drop(smol::Timer::after(time).await),
    }
}
