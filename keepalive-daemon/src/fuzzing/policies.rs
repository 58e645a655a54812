//! The text of policy files.

mod print;

use std::collections::BTreeMap;

use print::print;

use crate::policy::{
    Destinations, Diagnostic, Limits, PodFacts, Policy, PolicySet, Scope, Source, TimerSpec, UserTimeout,
    parse,
};

const FILE: &str = "fuzz.yaml";
/// The most mistakes that are told of a file, with the line that counts the others.
const MOST_TOLD: usize = 101;

/// Reads a policy file. What is wrong has a place and a cure; what is right can be written down and read again, is within
/// the limits, and selects what a reader of the rules would say it selects.
///
/// # Panics
/// If that is not so.
pub fn policies(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let limits = Limits::default();
    let policies = match parse(FILE, &text, &limits) {
        Ok(policies) => policies,
        Err(diagnostics) => return mistakes(&text, &diagnostics),
    };
    for policy in &policies {
        values(policy, &limits);
    }
    let printed = print(&policies);
    let again = parse(FILE, &printed, &limits).map_err(|mistakes| format!("{mistakes:?} in {printed}"));
    assert_eq!(again.map(placeless), Ok(placeless(policies.clone())), "{printed}");
    match PolicySet::new(policies) {
        Ok(set) => selection(&set),
        Err(diagnostics) => mistakes(&text, &diagnostics),
    }
}

pub(super) fn mistakes(text: &str, diagnostics: &[Diagnostic]) {
    assert!((1..=MOST_TOLD).contains(&diagnostics.len()), "{} mistakes", diagnostics.len());
    // All that a reader counts as the end of a line, and the line after the last.
    let lines = text.split(['\n', '\r']).count() as u64 + 1;
    for mistake in diagnostics {
        let Diagnostic { file, line, column, message, help, .. } = mistake;
        assert_eq!(file, FILE);
        assert!(!message.is_empty() && !help.is_empty(), "{mistake:?}");
        assert!(*line <= lines && (*line > 0) == (*column > 0), "{mistake:?} of {lines} lines");
        let shown = mistake.to_string();
        assert!(
            shown.lines().count() == 2 && !shown.contains(|c: char| c.is_control() && c != '\n'),
            "{shown:?}"
        );
        assert!(shown.len() < 4096, "{} bytes: {shown}", shown.len());
    }
}

fn values(policy: &Policy, limits: &Limits) {
    let Policy { spec, timers, destinations, .. } = policy;
    assert_eq!(spec.resolve(limits).as_ref(), Ok(timers));
    assert!(spec.user_timeout.is_some() == (timers.user_timeout_ms > 0), "{policy:?}");
    let own = destinations.iter().flat_map(Destinations::rules).map(|rule| rule.timers(&policy.inherited()));
    for timers in own.chain([*timers]) {
        assert!(
            (5..=32_767).contains(&timers.idle_s) && (1..=32_767).contains(&timers.interval_s),
            "{timers:?}"
        );
        assert!((1..=127).contains(&timers.probes) && timers.user_timeout_ms <= 0x7fff_ffff, "{timers:?}");
    }
    if let TimerSpec { user_timeout: Some(UserTimeout::Auto), .. } = spec {
        let sum = u64::from(timers.idle_s) + u64::from(timers.interval_s) * u64::from(timers.probes);
        assert_eq!(u64::from(timers.user_timeout_ms), sum * 1000);
    }
}

/// The policy that governs is the first, in the order of the set, that is for the workload.
fn selection(set: &PolicySet) {
    let pods =
        [("payments", "web"), ("team-a", "db"), ("kube-system", "")].map(|(namespace, app)| PodFacts {
            namespace: namespace.to_owned(),
            labels: BTreeMap::from([("app".to_owned(), app.to_owned())]),
            ..PodFacts::default()
        });
    for path in ["", "a", "a/b", "system.slice/nginx.service", "docker/4f2a", "kubepods/podab"] {
        for pod in pods.iter().map(Some).chain([None]) {
            let is_for = |policy: &&Policy| match &policy.scope {
                Scope::Cgroups(globs) => globs.iter().any(|glob| glob.matches(path)),
                Scope::Pods(scope) => pod.is_some_and(|pod| scope.check(pod).is_ok()),
            };
            let expected = set.iter().find(is_for).map(|policy| &policy.id);
            assert_eq!(set.select(path, pod).map(|policy| &policy.id), expected, "{path:?} {pod:?}");
            let selected =
                set.selection(path, pod).find(|(_, selects)| *selects).map(|(policy, _)| &policy.id);
            assert_eq!(selected, expected, "{path:?} {pod:?}");
        }
    }
}

/// The same, wherever they are written.
fn placeless(policies: Vec<Policy>) -> Vec<Policy> {
    let source = Source { file: String::new(), line: 0, column: 0 };
    policies.into_iter().map(|policy| Policy { source: source.clone(), ..policy }).collect()
}
