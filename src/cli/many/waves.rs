//! Which cluster of a fleet has its turn: canaries first and alone, then as many as were asked for, never two that share a
//! machine or serve one Kubernetes. Pure.

use super::find::Cluster;

/// The order in which clusters are changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turns {
    /// One after the other, each alone.
    pub canaries: Vec<usize>,
    /// Then these.
    pub others: Vec<usize>,
    /// So many of those at a time.
    pub at_once: usize,
}

impl Turns {
    /// For these clusters, of which `due` are to be changed. Where no canary was named that is due, the first one is.
    pub fn of(clusters: &[Cluster], due: &[usize], canaries: &[&str], at_once: usize) -> Self {
        let mut first: Vec<usize> = Vec::new();
        for name in canaries {
            first.extend(due.iter().filter(|at| clusters[**at].name == *name));
        }
        // One that is named may have nothing to do.
        if first.is_empty() {
            first.extend(due.first());
        }
        let others = due.iter().filter(|at| !first.contains(at)).copied().collect();
        Self {
            canaries: first,
            others,
            at_once,
        }
    }

    /// Who begins next, while `running` are under way and `begun` have begun so far; `None`: nobody, for now or any more.
    pub fn next(&self, clusters: &[Cluster], begun: &[usize], running: &[usize]) -> Option<usize> {
        let waits = |at: &&usize| !begun.contains(at);
        if let Some(canary) = self.canaries.iter().find(waits) {
            return running.is_empty().then_some(*canary);
        }
        let canary_runs = running.iter().any(|at| self.canaries.contains(at));
        if canary_runs || running.len() >= self.at_once {
            return None;
        }
        let free = |at: &&usize| {
            !running
                .iter()
                .any(|other| clusters[**at].shares_with(&clusters[*other]))
        };
        self.others.iter().filter(waits).find(free).copied()
    }

    /// For people: the order, before it is agreed to.
    pub fn told(&self, clusters: &[Cluster]) -> String {
        let names = |those: &[usize]| -> String {
            let names: Vec<&str> = those.iter().map(|at| clusters[*at].name.as_str()).collect();
            names.join(", ")
        };
        let first = names(&self.canaries);
        if self.others.is_empty() {
            return format!("order: {first}");
        }
        let at_once = match self.at_once {
            1 => "one at a time".to_owned(),
            n => format!("{n} at a time, never two that share a host or a Kubernetes"),
        };
        format!("order: first {first}, then {at_once}: {}", names(&self.others))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn clusters(machines: &[&str]) -> Vec<Cluster> {
        let cluster = |(at, machines): (usize, &&str)| {
            let mut cluster = Cluster::named(&format!("c{at}"));
            cluster.machines = machines.split(' ').map(str::to_owned).collect();
            cluster
        };
        machines.iter().enumerate().map(cluster).collect()
    }

    /// Everybody ends as soon as nobody more can begin, the one that began last first: who ran at the same time.
    fn played(clusters: &[Cluster], turns: &Turns) -> Vec<BTreeSet<usize>> {
        let (mut begun, mut running, mut together) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            while let Some(at) = turns.next(clusters, &begun, &running) {
                begun.push(at);
                running.push(at);
            }
            if running.is_empty() {
                return together;
            }
            together.push(running.iter().copied().collect());
            running.pop();
        }
    }

    #[test]
    fn canaries_are_alone_and_no_machine_has_two_at_once() {
        let clusters = clusters(&["a b c", "c d", "e", "d f", "g", "e"]);
        let due = [0, 1, 2, 3, 4, 5];
        let turns = Turns::of(&clusters, &due, &["c4", "c2"], 3);
        assert_eq!(
            (turns.canaries.clone(), turns.others.clone()),
            (vec![4, 2], vec![0, 1, 3, 5])
        );
        let together = played(&clusters, &turns);
        let sets: Vec<Vec<usize>> = together.iter().map(|set| set.iter().copied().collect()).collect();
        assert_eq!(sets[..3], [vec![4], vec![2], vec![0, 3, 5]]);
        assert_eq!(
            sets.concat().iter().collect::<BTreeSet<_>>().len(),
            due.len(),
            "everybody has a turn"
        );
        for set in &together {
            let pairs = set
                .iter()
                .flat_map(|a| set.iter().filter(move |b| a < *b).map(move |b| (*a, *b)));
            assert!(
                pairs.into_iter().all(|(a, b)| !clusters[a].shares_with(&clusters[b])),
                "{set:?}"
            );
            assert!(set.len() <= 3);
        }
    }

    #[test]
    fn two_that_serve_one_kubernetes_never_have_their_turn_together() {
        let mut clusters = clusters(&["a", "b", "c", "d", "e"]);
        for (at, kubernetes) in [(1, "prod"), (2, "prod"), (3, "stage")] {
            clusters[at].kubernetes = Some(kubernetes.to_owned());
        }
        let turns = Turns::of(&clusters, &[0, 1, 2, 3, 4], &[], 3);
        let together = played(&clusters, &turns);
        assert_eq!(together[1], BTreeSet::from([1, 3, 4]));
        assert!(
            together.iter().all(|set| !(set.contains(&1) && set.contains(&2))),
            "{together:?}"
        );
        let all: BTreeSet<usize> = together.into_iter().flatten().collect();
        assert_eq!(all.len(), 5, "everybody has a turn");
    }

    #[test]
    fn the_first_one_is_the_canary_where_none_is_named() {
        let clusters = clusters(&["a", "b", "c"]);
        let turns = Turns::of(&clusters, &[1, 2], &[], 1);
        assert_eq!(turns.told(&clusters), "order: first c1, then one at a time: c2");
        assert_eq!(played(&clusters, &turns), [BTreeSet::from([1]), BTreeSet::from([2])]);
        let turns = Turns::of(&clusters, &[1, 2], &["c0"], 4);
        assert_eq!(
            turns.told(&clusters),
            "order: first c1, then 4 at a time, never two that share a host or a Kubernetes: c2",
            "the canary has nothing to do"
        );
    }
}
