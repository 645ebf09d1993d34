//! `make test` tries one of each kind, `make soak` (`QUORATE_SOAK=1`) all of them.

/// Whether everything is to be tried that a table has.
pub fn thorough() -> bool {
    std::env::var_os("QUORATE_SOAK").is_some()
}

/// All of a table's rows, or those that stand for their kind, which `stands_for_its_kind` picks.
pub fn some_of<T>(all: impl IntoIterator<Item = T>, stands_for_its_kind: impl Fn(&T) -> bool) -> Vec<T> {
    all.into_iter()
        .filter(|row| thorough() || stands_for_its_kind(row))
        .collect()
}
