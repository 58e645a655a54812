//! `cargo xtask test`: the tests that need nothing, then those that need root and a kernel.

use anyhow::Result;
use clap::Args;

use crate::{console, failures::Failures, image, setup, workspace};

mod kernel;
mod matrix;
mod outcomes;
mod summary;

use kernel::IN_MACHINE;
pub(crate) use kernel::KernelTests;
pub(crate) use matrix::Matrix;
use summary::{Group, run_group};

/// What runs in machines unless all does: what needs one, with a kernel that many nodes have; and with the oldest and the
/// newest what depends on the kernel.
const IN_MACHINES: [(&str, &[&str]); 3] =
    [("6.1", &[IN_MACHINE]), ("5.10", DEPENDING_ON_KERNEL), ("7.x", DEPENDING_ON_KERNEL)];

/// Tests of each program, map and call that kernels differ in: three to four minutes in an emulated machine on an idle host.
const DEPENDING_ON_KERNEL: &[&str] = &[
    "kernel::enforce::later_calls_that_weaken_the_values_are_rewritten_and_counted",
    "kernel::enforce::mptcp_is_guarded_on_its_own_socket",
    "kernel::features::every_feature_is_there_since_the_release_that_brought_it",
    "kernel::features::this_kernel_has_what_is_known_of_its_line",
    "kernel::guard::each_call_answers_as_without_a_guard",
    "kernel::helped::a_peer_that_vanishes_is_found_dead",
    "kernel::modes::what_is_counted_for_each_direction_is_what_the_sockets_have",
    "kernel::nesting::each_of_three_levels_governs_its_own",
    "kernel::options::a_child_inherits_from_its_listener_first",
    "kernel::options::both_ends_of_every_kind_of_connection_are_armed",
    "kernel::options::both_subflows_of_mptcp_are_armed",
    "kernel::options::what_syn_cookies_let_in_is_armed",
    "kernel::others::every_option_is_set_on_both_families",
    "kernel::sockets::each_connection_says_what_came_of_it_and_why",
    "kernel::sweep::all_of_ten_thousand",
    "kernel::sweep::what_passed_the_guard_is_put_right",
    "kernel::upgrade::another_layout_takes_over_without_a_gap_and_gives_back",
    "kernel::verbs::probe_finds_everything_as_root_and_leaves_nothing",
    "kernel::verbs::two_capabilities_suffice",
    "kernel::verbs::status_is_the_same_from_the_daemon_and_from_the_pins",
    "kernel::verifier::what_the_verifier_does_has_not_grown",
];

/// Runs the tests: those that need nothing, and those that need root and a kernel.
///
/// The last are run here; in a machine with Linux 6.1 those that need one; and in machines with the oldest and the
/// newest kernel those of what differs by kernel. At the end comes a table of kernels and groups of tests.
///
/// Those of `kernel::crash` kill the daemon at 20 points of each thing it does (2 in an emulated machine), or at as many
/// as the variable `KEEPALIVE_CRASH_ROUNDS` says; with more than there are steps, at each of them.
/// `KEEPALIVE_CRASH_SEED` repeats the points of a failure, which names it.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Only the tests that need neither root nor a kernel.
    #[arg(long, conflicts_with = "kernel")]
    unit: bool,
    /// Only the tests that need root and a kernel. A switch: `cargo xtask vm --kernel` names other kernels than this.
    #[arg(long)]
    kernel: bool,
    /// All that need root and a kernel on every kernel there is a machine with, as `cargo xtask vm --kernel all`, but for
    /// what no kernel has a part in: for hours, where machines are emulated. And whether the image, built twice, is the
    /// same.
    #[arg(long, conflicts_with_all = ["unit", "kernel", "filter"])]
    full: bool,
    /// Only the tests whose names contain this. That none does is an error.
    #[arg(value_name = "FILTER")]
    filter: Option<String>,
}

/// Runs the tests and tells, at the end, all that failed.
///
/// # Errors
///
/// If a test fails, a prerequisite is missing, or the filter fits no test.
pub fn run(Options { unit, kernel, full, filter }: Options) -> Result<()> {
    let filter = filter.as_deref();
    let mut failures = Failures::new();
    let mut groups = Vec::new();
    setup::ebpf_toolchain()?;
    if !kernel {
        groups.push(unit_tests(filter));
        groups.extend(failures.check("manifest tests", manifest_tests(filter)));
    }
    if !unit && let Some(tests) = failures.check("kernel tests", KernelTests::build(filter.as_slice())) {
        groups.extend(failures.check("kernel tests", tests.run_here(filter)));
        groups.extend(tests.run_in_machines(&machines(full, filter)?, |line| console::result(line)));
    }
    if full {
        failures.check("the image", image::built_twice());
    }
    let mut matrix = Matrix::default();
    for group in &groups {
        group.add_to(&mut matrix);
    }
    if !matrix.is_empty() {
        console::result(format_args!("\n{matrix}"));
    }
    for group in &groups {
        console::result(group);
        if let Some(failure) = group.failure() {
            failures.add(&group.name, failure);
        }
    }
    if failures.is_empty() && groups.iter().all(Group::is_empty) {
        failures.add("tests", if filter.is_none() { "there are none" } else { "none has such a name" });
    }
    failures.finish()
}

/// The lines of kernels that machines boot, and the filters of what each runs.
fn machines(full: bool, filter: Option<&str>) -> Result<Vec<(String, Vec<String>)>> {
    let with = |(kernel, filters): (&str, &[&str])| {
        (kernel.to_owned(), filters.iter().map(|filter| (*filter).to_owned()).collect())
    };
    Ok(match filter {
        None if full => setup::kernel_lines()?.into_iter().map(|line| (line, Vec::new())).collect(),
        None => IN_MACHINES.map(with).into(),
        Some(filter) if filter.starts_with(IN_MACHINE) => vec![with((IN_MACHINES[0].0, &[filter]))],
        Some(_) => Vec::new(),
    })
}

fn unit_tests(filter: Option<&str>) -> Group {
    let mut command = workspace::cargo();
    command.args(["test", "--locked", "--workspace", "--no-fail-fast", "--"]).args(filter);
    run_group("unit tests", &mut command)
}

/// The tests of what `deploy` has for Kubernetes, which render it with kubectl, and for Prometheus.
fn manifest_tests(filter: Option<&str>) -> Result<Group> {
    let mut command = workspace::cargo();
    command.args(["test", "--locked", "--package", "keepalive-daemon", "--test", "manifests", "--"]);
    command.arg("--ignored").args(filter).env("KEEPALIVE_KUBECTL", setup::kubectl()?);
    command.env("KEEPALIVE_PROMTOOL", setup::prometheus()?.promtool);
    Ok(run_group("manifest tests", &mut command))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn lines(full: bool, filter: Option<&str>) -> Vec<String> {
        machines(full, filter).unwrap().into_iter().map(|(kernel, _filters)| kernel).collect()
    }

    #[test]
    fn the_oldest_and_the_newest_kernel_are_always_tested_and_all_if_asked() {
        let all = setup::kernel_lines().unwrap();
        let usual = lines(false, None);

        assert!(usual.contains(all.first().unwrap()) && usual.contains(all.last().unwrap()), "{usual:?}");
        assert_eq!(lines(true, None), all);
    }

    #[test]
    fn with_a_filter_only_what_needs_a_machine_gets_one() {
        assert_eq!(
            machines(false, Some("kernel::machine::service")).unwrap(),
            [("6.1".to_owned(), vec!["kernel::machine::service".to_owned()])]
        );
        assert!(lines(false, Some("kernel::sweep")).is_empty());
    }
}
