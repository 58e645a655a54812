//! The annotations of pods.

use std::time::Duration;

use keepalive_ebpf::Timers;

use super::draw::Draw;
use crate::policy::{ANNOTATION_PREFIX, Governed, Limits, PodFacts, Policy, UserTimeout, parse};

/// What policies let a pod change: nothing but to opt out, nothing, little, and all there is.
const OVERRIDES: [&str; 4] = [
    "",
    "podOverrides: {optOut: false}, ",
    "podOverrides: {idle: {min: 30s, max: 5m}, probes: {min: 2, max: 4}}, userTimeout: auto, ",
    "podOverrides: {idle: {min: 5s, max: 32767s}, interval: {min: 1s, max: 32767s}, probes: {min: 1, max: 127}, \
     userTimeout: {min: 1ms, max: 24days}}, userTimeout: 90s, ",
];

/// What an annotation may be called.
const KEYS: [&str; 7] = ["opt-out", "idle", "interval", "probes", "user-timeout", "", "iddle"];
/// What is read of annotations besides those that have no meaning: ten, and one that counts the others.
const MOST_REFUSED: usize = 11;

/// Gives a pod annotations. Whatever they say, the values that come of them are the policy's or within its bounds, and
/// what is told of them is short and safe to print.
///
/// # Panics
/// If that is not so.
pub fn annotations(data: &[u8]) {
    let mut draw = Draw::new(data);
    let overrides = draw.one_of(&OVERRIDES);
    let text = format!(
        "apiVersion: keepalive.dev/v1alpha1\nkind: KeepalivePolicy\nmetadata: {{name: a, namespace: b}}\n\
         spec: {{{overrides}keepalive: {{idle: 60s, interval: 15s, probes: 4}}}}\n"
    );
    let policies = parse("fuzz.yaml", &text, &Limits::default()).expect("it is right");
    let mut pod = PodFacts::default();
    while !draw.is_empty() && pod.annotations.len() < 40 {
        let known = draw.one_of(&KEYS);
        let key = if known.is_empty() { draw.text() } else { known.to_owned() };
        pod.annotations.insert(format!("{ANNOTATION_PREFIX}{key}"), draw.text());
    }
    for policy in &policies {
        let governed = policy.govern(&pod);
        assert_eq!(governed, policy.govern(&pod), "the same again");
        values(policy, &governed);
        told(&pod, &governed);
    }
}

fn values(policy: &Policy, governed: &Governed) {
    let Governed { opted_out, timers, user_timeout, .. } = governed;
    assert!(policy.overrides.opt_out || !opted_out);
    let own = policy.timers;
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    for (given, own, bounds) in [
        (timers.idle_s, own.idle_s, policy.overrides.idle),
        (timers.interval_s, own.interval_s, policy.overrides.interval),
    ] {
        let is_within = bounds.is_some_and(|it| (it.min..=it.max).contains(&seconds(given)));
        assert!(given == own || is_within, "{given} s, {bounds:?}");
    }
    let bounds = policy.overrides.probes;
    let is_within = bounds.is_some_and(|it| (it.min..=it.max).contains(&timers.probes.into()));
    assert!(timers.probes == own.probes || is_within, "{} probes, {bounds:?}", timers.probes);
    let Timers { idle_s, interval_s, probes, user_timeout_ms } = *timers;
    let expected_ms = match user_timeout {
        None => 0,
        Some(UserTimeout::After(after)) => after.as_millis(),
        Some(UserTimeout::Auto) => {
            ((u128::from(idle_s) + u128::from(interval_s) * u128::from(probes)) * 1000).min(0x7fff_ffff)
        }
    };
    assert_eq!(u128::from(user_timeout_ms), expected_ms, "{governed:?}");
}

fn told(pod: &PodFacts, governed: &Governed) {
    let Governed { followed, refused, .. } = governed;
    assert!(refused.len() <= MOST_REFUSED, "{} are told", refused.len());
    let told = refused.iter().flat_map(|it| [&it.annotation, &it.reason]).chain(followed);
    for text in told {
        assert!(!text.contains(char::is_control) && text.len() < 1024, "{text:?}");
    }
    // Every one of them is followed, refused, says what holds anyway, or is counted.
    assert!(followed.len() + refused.len() <= pod.annotations.len() + 1, "{governed:?}");
}
