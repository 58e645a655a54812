//! A selected cgroup inside a selected one: the policy of the deepest governs, although the kernel runs the
//! programs of the ancestors after it.

mod changes;
mod levels;

use xtask::lab::{Cgroup, Process};

use self::{
    changes::{
        connections_during_a_change_have_one_of_the_two_policies,
        the_inner_policy_governs_while_the_programs_are_replaced,
        two_programs_of_the_outer_cgroup_both_yield, what_is_left_governs_when_a_selection_ends,
    },
    levels::{
        an_inner_policy_that_does_nothing_still_keeps_the_outer_one_off,
        each_of_three_levels_governs_its_own, the_root_yields_to_what_is_inside,
    },
};
use crate::{
    peer::Options,
    support::{Host, document, options},
};

crate::tests!(
    an_inner_policy_that_does_nothing_still_keeps_the_outer_one_off,
    connections_during_a_change_have_one_of_the_two_policies,
    each_of_three_levels_governs_its_own,
    the_deepest_wins_on_every_value_in_every_order_of_appearance,
    the_inner_policy_governs_while_the_programs_are_replaced,
    the_root_yields_to_what_is_inside,
    two_programs_of_the_outer_cgroup_both_yield,
    what_is_left_governs_when_a_selection_ends,
);

/// The values of a policy, and what they make of a socket that nobody touched.
#[derive(Clone, Copy, Debug)]
struct Values {
    idle: u64,
    interval: u64,
    probes: u32,
    /// Seconds; 0 for none.
    user_timeout: u64,
}

impl Values {
    const fn new(idle: u64, interval: u64, probes: u32, user_timeout: u64) -> Self {
        Self { idle, interval, probes, user_timeout }
    }

    fn document(self, name: &str, glob: &str) -> String {
        document(name, glob, &self.spec())
    }

    /// For connections that are made from now on alone: those that are swept have a mix while they are.
    fn document_for_new(self, name: &str, glob: &str) -> String {
        document(name, glob, &(self.spec() + ", applyToExisting: false"))
    }

    fn spec(self) -> String {
        let Self { idle, interval, probes, user_timeout } = self;
        let mut spec = format!("keepalive: {{idle: {idle}s, interval: {interval}s, probes: {probes}}}");
        if user_timeout > 0 {
            spec.push_str(&format!(", userTimeout: {user_timeout}s"));
        }
        spec
    }

    const fn armed(self) -> Options {
        options(true, self.idle, self.interval, self.probes, self.user_timeout * 1000)
    }
}

const OUTER: Values = Values::new(60, 20, 6, 120);

/// Inner policies against [`OUTER`].
const INNERS: [(&str, Values); 4] = [
    ("looser on every value", Values::new(90, 30, 8, 180)),
    ("tighter on every value", Values::new(30, 10, 3, 60)),
    ("looser on some values and tighter on others", Values::new(90, 10, 8, 60)),
    ("without a user timeout", Values::new(50, 25, 7, 0)),
];

/// Waits until as many lines of the daemon after `mark` contain `text`.
fn wait_lines(daemon: &Process, mark: usize, text: &str, count: usize) {
    let found = daemon.wait_for(&format!("{count} lines with {text:?}"), |lines, _| {
        let found = lines[mark..].iter().filter(|line| line.text.contains(text));
        (found.count() >= count).then_some(())
    });
    found.unwrap();
}

/// Both ends of a fresh connection inside a cgroup.
fn fresh(host: &Host, cgroup: &Cgroup) -> [Options; 2] {
    let mut peer = host.peer(cgroup);
    let pair = peer.pair();
    [pair.client, pair.server].map(|end| peer.options(end))
}

#[derive(Clone, Copy, Debug)]
enum Order {
    BothAtStart,
    OuterFirst,
    InnerFirst,
    /// The inner cgroup is made when both policies are in force.
    InnerCgroupLater,
}

fn the_deepest_wins_on_every_value_in_every_order_of_appearance() {
    use Order::{BothAtStart, InnerCgroupLater, InnerFirst, OuterFirst};
    for order in [BothAtStart, OuterFirst, InnerFirst, InnerCgroupLater] {
        for (what, values) in INNERS {
            let host = Host::new("nested");
            let outer = host.cgroup("slice");
            let beside = host.cgroup("slice/beside");
            let policies = [OUTER.document("outer", "slice"), values.document("inner", "slice/service")];
            let files = ["outer.yaml", "inner.yaml"];
            let (at_start, later): (&[usize], &[usize]) = match order {
                BothAtStart | InnerCgroupLater => (&[0, 1], &[]),
                OuterFirst => (&[0], &[1]),
                InnerFirst => (&[1], &[0]),
            };
            let there = (!matches!(order, InnerCgroupLater)).then(|| host.cgroup("slice/service"));
            for &index in at_start {
                host.write_policies(files[index], &policies[index]);
            }
            let daemon = host.start();
            for &index in later {
                host.write_policies(files[index], &policies[index]);
            }
            let inner = there.unwrap_or_else(|| host.cgroup("slice/service"));
            let below = host.cgroup("slice/service/worker");
            wait_lines(&daemon, 0, "attached", 2);

            assert_eq!(fresh(&host, &inner), [values.armed(); 2], "{order:?}, inner {what}");
            assert_eq!(fresh(&host, &below), [values.armed(); 2], "{order:?}, below an inner one {what}");
            assert_eq!(fresh(&host, &outer), [OUTER.armed(); 2], "{order:?}, outer of an inner one {what}");
            assert_eq!(fresh(&host, &beside), [OUTER.armed(); 2], "{order:?}, beside an inner one {what}");
        }
    }
}
