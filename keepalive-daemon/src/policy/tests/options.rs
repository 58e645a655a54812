use keepalive_ebpf::Options;

use super::super::{Congestion, KernelOptions, Limits, parse};
use super::{accepted, limits, refused, with_line};

fn of_kernel(version: &str) -> Limits {
    let congestion =
        Congestion { available: vec!["reno".to_owned(), "cubic".to_owned()], default: "cubic".to_owned() };
    let kernel = KernelOptions { version: version.parse().ok(), congestion: Some(congestion) };
    Limits { kernel, ..limits() }
}

/// What is wrong with `options` on a kernel of this version: the field and the message.
fn refused_by(version: &str, options: &str) -> Vec<String> {
    let text = with_line(&format!("options: {options}"));
    let mistakes = parse("p.yaml", &text, &of_kernel(version)).err().unwrap_or_default();
    mistakes.iter().map(|mistake| format!("{}: {}", mistake.field, mistake.message)).collect()
}

#[test]
fn a_policy_sets_the_options_that_it_names() {
    let all = "options: {noDelay: true, notSentLowat: 16384, congestion: reno, maxSegment: 1200, synCount: 3, \
               priority: 6, mark: \"0xFFffffff\", tos: 184}";
    let policies = parse("p.yaml", &with_line(all), &of_kernel("6.1")).unwrap();

    let mut expected = Options {
        which: 0xff,
        no_delay: 1,
        not_sent_lowat: 16384,
        max_segment: 1200,
        syn_count: 3,
        priority: 6,
        mark: u32::MAX,
        tos: 184,
        ..Options::NONE
    };
    expected.congestion[..4].copy_from_slice(b"reno");
    expected.congestion_default[..5].copy_from_slice(b"cubic");
    assert_eq!(policies[0].options, expected);
    assert_eq!(policies[0].in_kernel(policies[0].timers, None).options(), &expected);
}

#[test]
fn what_is_not_named_is_not_set() {
    for line in ["priority: 1", "options: {}"] {
        assert_eq!(accepted(&with_line(line))[0].options, Options::NONE, "{line}");
    }
    let zero = accepted(&with_line("options: {noDelay: false, mark: 0, tos: 0}"));
    let which = Options::NO_DELAY | Options::MARK | Options::TOS;
    assert_eq!(zero[0].options, Options { which, ..Options::NONE });
}

#[test]
fn values_at_the_limits_are_accepted() {
    for options in [
        "notSentLowat: 1",
        "notSentLowat: 2147483647",
        "maxSegment: 88",
        "maxSegment: 32767",
        "synCount: 1",
        "synCount: 127",
        "priority: 2147483647",
        "mark: 4294967295",
        "mark: 0x1f",
        "mark: '0x1F'",
        "tos: 255",
        "congestion: a_longest-name1",
    ] {
        accepted(&with_line(&format!("options: {{{options}}}")));
    }
}

#[test]
fn a_mistake_in_the_options_is_shown_with_its_place_and_cure() {
    let algorithm = "write 1 to 15 lower-case letters, digits, `_` and `-`, such as `bbr`";
    for (options, place, message, help) in [
        (
            "{nodelay: true}",
            "6:13: spec.options.nodelay",
            "`nodelay` is not known here",
            "the fields are noDelay, notSentLowat, congestion, maxSegment, synCount, priority, mark, tos. Did you \
             mean `noDelay`?",
        ),
        (
            "{noDelay: 1}",
            "6:22: spec.options.noDelay",
            "`true` or `false` is needed, this is the number `1`",
            "write whether data is sent at once, as it is with `true`",
        ),
        (
            "{notSentLowat: 0}",
            "6:27: spec.options.notSentLowat",
            "0 is out of range",
            "the kernel takes 1 to 2147483647",
        ),
        (
            "{notSentLowat: 16k}",
            "6:27: spec.options.notSentLowat",
            "a whole number is needed, this is the text `16k`",
            "write a number, the kernel takes 1 to 2147483647",
        ),
        (
            "{maxSegment: 87}",
            "6:25: spec.options.maxSegment",
            "87 is out of range",
            "the kernel takes 88 to 32767",
        ),
        (
            "{maxSegment: 32768}",
            "6:25: spec.options.maxSegment",
            "32768 is out of range",
            "the kernel takes 88 to 32767",
        ),
        (
            "{synCount: 128}",
            "6:23: spec.options.synCount",
            "128 is out of range",
            "the kernel takes 1 to 127",
        ),
        (
            "{priority: -1}",
            "6:23: spec.options.priority",
            "-1 is out of range",
            "the kernel takes 0 to 2147483647",
        ),
        (
            "{mark: 4294967296}",
            "6:19: spec.options.mark",
            "4294967296 is out of range",
            "the kernel takes 0 to 4294967295",
        ),
        (
            "{mark: '0x1ffffffff'}",
            "6:19: spec.options.mark",
            "a whole number is needed, this is the text `0x1ffffffff`",
            "write a number, the kernel takes 0 to 4294967295",
        ),
        (
            "{mark: '0x'}",
            "6:19: spec.options.mark",
            "a whole number is needed, this is the text `0x`",
            "write a number, the kernel takes 0 to 4294967295",
        ),
        ("{tos: 256}", "6:18: spec.options.tos", "256 is out of range", "the kernel takes 0 to 255"),
        (
            "{congestion: BBR}",
            "6:25: spec.options.congestion",
            "`BBR` is not the name of an algorithm for congestion control",
            algorithm,
        ),
        (
            "{congestion: abcdefghijklmnop}",
            "6:25: spec.options.congestion",
            "`abcdefghijklmnop` is not the name of an algorithm for congestion control",
            algorithm,
        ),
        (
            "{congestion: ''}",
            "6:25: spec.options.congestion",
            "`` is not the name of an algorithm for congestion control",
            algorithm,
        ),
        (
            "bbr",
            "6:12: spec.options",
            "a mapping is needed, this is the text `bbr`",
            "the fields are noDelay, notSentLowat, congestion, maxSegment, synCount, priority, mark, tos",
        ),
    ] {
        let shown = refused(&with_line(&format!("options: {options}")));

        assert_eq!(shown, [format!("p.yaml:{place}: {message}\n  help: {help}")], "{options}");
    }
}

#[test]
fn what_the_kernel_does_not_let_a_program_set_is_refused() {
    for (option, since) in [
        ("noDelay: true", Some("6.1")),
        ("maxSegment: 1200", Some("6.1")),
        ("notSentLowat: 1", Some("5.10")),
        ("congestion: reno", None),
        ("synCount: 3", None),
        ("priority: 1", None),
        ("mark: 1", None),
        ("tos: 1", None),
    ] {
        for version in ["5.9", "5.10", "6.0", "6.1", "6.18"] {
            let number = |text: &str| text.parse::<super::super::KernelVersion>().unwrap();
            let expected = if since.is_some_and(|since| number(version) < number(since)) {
                let name = option.split(':').next().unwrap();
                vec![format!("spec.options.{name}: Linux {version} does not let a program set it")]
            } else {
                Vec::new()
            };
            assert_eq!(refused_by(version, &format!("{{{option}}}")), expected, "{option} on {version}");
        }
    }
}

#[test]
fn an_algorithm_that_the_kernel_lacks_is_refused_with_those_it_has() {
    let mistakes = parse("p.yaml", &with_line("options: {congestion: bbr}"), &of_kernel("6.1")).unwrap_err();

    assert_eq!(
        mistakes[0].to_string(),
        "p.yaml:6:25: spec.options.congestion: this kernel has no congestion control `bbr`\n  \
         help: write one of reno, cubic, or load it: `modprobe tcp_bbr`"
    );
}
