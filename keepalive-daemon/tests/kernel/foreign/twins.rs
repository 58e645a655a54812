//! Two hosts with the same programs of others, one of which has the daemon as well: those programs, and the
//! applications, see the same on both.

use xtask::lab::{Cgroup, Process};

use super::workload::{
    BACKEND, NO_DELAY, OWNED, PRIORITY, RECEIVE_BUFFER, SERVICE, Seen, TYPE_OF_SERVICE, play,
};
use crate::support::{
    Host, UNTOUCHED, document, eventually,
    foreign::{Attachment, Effect, Foreign, Listener, Tool, Way},
    options,
};

/// What the policy of these tests gives a connection.
pub(super) const GOVERNED: crate::peer::Options = options(true, 61, 13, 5, 0);

/// The programs of others on one host.
pub(super) struct Tools {
    pub(super) tool: Tool,
    pub(super) listener: Listener,
    /// What rewrites, denies and swallows calls, tells other values than the kernel's, and has connections go elsewhere.
    pub(super) silent: Vec<Foreign>,
}

impl Tools {
    pub(super) fn load() -> Self {
        let mut silent = vec![
            Foreign::load_setsockopt(RECEIVE_BUFFER, Effect::Rewrite(70_000)),
            Foreign::load_setsockopt(NO_DELAY, Effect::Deny),
            Foreign::load_setsockopt(PRIORITY, Effect::Length(-1)),
            Foreign::load_setsockopt(TYPE_OF_SERVICE, Effect::Length(0)),
            Foreign::load_getsockopt(PRIORITY, Effect::Rewrite(1234)),
        ];
        silent.extend(Foreign::load_service(SERVICE.parse().unwrap(), BACKEND.parse().unwrap()));
        Self { tool: Tool::load(), listener: Listener::load(), silent }
    }

    /// All of them.
    pub(super) fn programs(&self) -> Vec<&Foreign> {
        let noting = [self.tool.program(), self.listener.program()];
        noting.into_iter().chain(&self.silent).collect()
    }

    /// Forgets what they noted.
    pub(super) fn forget(&self) {
        self.tool.forget();
        self.listener.forget();
    }

    /// What they noted, once the kernel has ended all connections; of options that a policy has, that they were set.
    pub(super) fn noted(&self, host: &Host) -> Noted {
        eventually("all connections end", || {
            let open = host.netns.command("ss").args(["-tnaH", "exclude", "time-wait"]).output().unwrap();
            open.stdout.is_empty().then_some(())
        });
        let is_owned = |option: i32| OWNED.iter().any(|(_, owned)| *owned == option);
        let calls = self.listener.calls().into_iter();
        Noted {
            sockets: self.tool.calls(),
            in_map: self.tool.sockets(),
            calls: calls.map(|(option, value)| (option, (!is_owned(option)).then_some(value))).collect(),
        }
    }
}

/// What programs of others noted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Noted {
    sockets: Vec<String>,
    in_map: usize,
    calls: Vec<(i32, Option<i32>)>,
}

/// A host with three cgroups in a row, of which a policy selects the middle one.
pub(super) struct Twin {
    pub(super) host: Host,
    pub(super) cgroups: [Cgroup; 3],
}

/// The places in which programs of others are, by the cgroup's number.
pub(super) const PLACES: [&str; 3] = ["above", "on the governed cgroup", "below"];

impl Twin {
    pub(super) fn new(label: &str) -> Self {
        let host = Host::new(label);
        // Small segments, so that the window a foreign program asks for is smaller than the kernel's own.
        host.netns.exec_ip(&["link", "set", "lo", "mtu", "1500"]).unwrap();
        let cgroups = ["team", "team/app", "team/app/worker"].map(|path| host.cgroup(path));
        Self { host, cgroups }
    }

    pub(super) fn govern(&self, mode: &str) {
        let spec = format!("mode: {mode}, keepalive: {{idle: 61s, interval: 13s, probes: 5}}");
        self.host.write_policies("p.yaml", &document("team", "team/app", &spec));
    }

    /// Has all of the programs attached in one way and place.
    fn attach<'t>(&self, tools: &'t Tools, way: Way, place: usize) -> Vec<Attachment<'t>> {
        let programs = tools.programs().into_iter();
        programs.map(|program| program.attach(&self.cgroups[place], way).unwrap()).collect()
    }
}

/// What a mode makes of a connection whose application asked for nothing.
pub(super) fn expected(mode: &str) -> crate::peer::Options {
    if mode == "Monitor" { UNTOUCHED } else { GOVERNED }
}

pub(super) fn all_that_others_do_and_see_is_the_same_with_and_without_a_policy() {
    // By link is one kind of sharing with the other; what it may change is who comes first on one cgroup.
    for (way, place) in [(Way::Multi, 0), (Way::Multi, 1), (Way::Multi, 2), (Way::Link, 1)] {
        let bare = Twin::new("twin-bare");
        let tools = Tools::load();
        let _theirs = bare.attach(&tools, way, place);
        let without = play(&bare.host, &bare.cgroups[2]);
        assert_eq!(without.owned, [UNTOUCHED; 2]);
        let noted_without = tools.noted(&bare.host);
        assert_works(&without, &noted_without);

        for (mode, ours_first) in
            [("Monitor", false), ("Tighten", false), ("Tighten", true), ("Enforce", false), ("Enforce", true)]
        {
            let case = format!("{way:?}, {}, {mode}, ours first: {ours_first}", PLACES[place]);
            let twin = Twin::new("twin");
            twin.govern(mode);
            let tools = Tools::load();
            let early: Option<Process> = ours_first.then(|| twin.host.start());
            let _theirs = twin.attach(&tools, way, place);
            let _daemon = early.unwrap_or_else(|| twin.host.start());
            // Where it sweeps by calls of its own, as on 5.10, the programs of others see those on what is open by then.
            twin.host.await_swept();

            let with = play(&twin.host, &twin.cgroups[2]);

            let rest = without.rest.clone();
            assert_eq!(with.rest, if mode == "Enforce" { rest.guarded() } else { rest }, "{case}");
            assert_eq!(tools.noted(&twin.host), noted_without, "{case}");
            assert_eq!(with.owned, [expected(mode); 2], "{case}");
        }
    }
}

/// That the programs of others do what they are there for: a comparison of nothing with nothing finds no difference.
fn assert_works(seen: &Seen, noted: &Noted) {
    let text = format!("{seen:?}");
    for sign in [
        "service: Ok(())",
        "datagram: Ok(4)",
        "congestion: \"reno\"",
        "ecn: true",
        "congestion_window: \"7\"",
        "small_window: true",
        // Rewritten to 70,000, which the kernel doubles.
        "(\"receive buffer\", Ok(()), Some(Ok(140000)))",
        "(\"no delay\", Err(1), Some(Ok(0)))",
        "(\"priority\", Ok(()), Some(Ok(1234)))",
    ] {
        assert!(text.contains(sign), "no {sign} in {text}");
    }
    assert_eq!(noted.sockets.len(), 5, "a listener and two connections: {noted:?}");
    assert!(noted.sockets.iter().filter(|calls| calls.contains("aa")).count() == 4, "{noted:?}");
    assert!(noted.calls.len() > 15, "{noted:?}");
}
