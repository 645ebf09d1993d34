//! Observed reality, the safety rules, plans, and their execution.
