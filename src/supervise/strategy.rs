//! Who is restarted, and when.

/// Says which children a supervisor restarts when one of them has to be.
///
/// Siblings that are hit are stopped in reverse start order, and then started again in start order with the
/// child that failed. A sibling of [`Restart::Never`] that is hit is stopped and gone.
///
/// # Examples
/// ```
/// use callboard::supervise::Strategy;
/// assert_eq!(Strategy::default(), Strategy::OneForOne);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// That child alone: for children that don't need each other. The default.
    #[default]
    OneForOne,
    /// That child and all that were started after it: for children each of which builds on earlier ones.
    RestForOne,
    /// All children: for children that share a state which a half-restarted set would tear apart.
    OneForAll,
}

/// Says after which ends a child is restarted.
///
/// # Examples
/// ```
/// use callboard::supervise::Restart;
/// assert_eq!(Restart::default(), Restart::Always);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// After every end that its supervisor did not ask for, a normal one too: for services. The default.
    #[default]
    Always,
    /// After a failure only: for work that ends. Ended normally, it stays down until siblings are restarted
    /// with it.
    OnFailure,
    /// Never, not even with its siblings: for work that must not run twice. Once ended, it is forgotten.
    Never,
}
