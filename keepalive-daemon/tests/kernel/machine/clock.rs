//! The clock of the machine, which jumps: on nodes that boot with a wrong one, and where somebody sets it.

use std::time::{Duration, SystemTime};

use nix::{
    sys::time::TimeSpec,
    time::{ClockId, clock_gettime, clock_settime},
};
use xtask::lab::Stream;

use crate::{
    events,
    support::{Host, document, eventually, options},
};

/// The first day of all that the clock can tell, and so long that it is later than the machine's start.
const DAY: i64 = 24 * 3600;
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

crate::tests!(a_clock_that_jumps_changes_nothing_but_what_is_told);

/// Sets the clock back to where it would be, when it is dropped.
struct Clock {
    real: TimeSpec,
    since: TimeSpec,
}

impl Clock {
    fn new() -> Self {
        let [real, since] =
            [ClockId::CLOCK_REALTIME, ClockId::CLOCK_MONOTONIC].map(|clock| clock_gettime(clock).unwrap());
        Self { real, since }
    }

    fn set(&self, to: impl FnOnce(TimeSpec) -> TimeSpec) {
        let passed = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap() - self.since;
        clock_settime(ClockId::CLOCK_REALTIME, to(self.real + passed)).unwrap();
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.set(|real| real);
    }
}

fn a_clock_that_jumps_changes_nothing_but_what_is_told() {
    let host = Host::new("clock");
    let app = host.cgroup("app");
    let policy =
        |idle: u64| document("p", "app*", &format!("keepalive: {{idle: {idle}s, interval: 13s, probes: 5}}"));
    host.write_policies("p.yaml", &policy(61));
    let daemon = host.start();
    let mut peer = host.peer(&app);
    let clock = Clock::new();
    let year = TimeSpec::from_duration(YEAR);
    let to: [&dyn Fn(TimeSpec) -> TimeSpec; 3] =
        [&|real| real + year, &|real| real - year, &|_| TimeSpec::new(DAY, 0)];
    let jumps = ["ahead", "back", "to the beginning"].into_iter().zip(62..).zip(to);
    for (number, ((how, idle), to)) in jumps.enumerate() {
        clock.set(to);

        // The file is of a time that has passed, or is to come.
        host.write_policies("p.yaml", &policy(idle));
        eventually(&format!("a policy is in force that was changed after a jump {how}"), || {
            let pair = peer.pair();
            (peer.options(pair.client) == options(true, idle, 13, 5, 0)).then_some(())
        });
        let late = host.cgroup(&format!("app-{number}"));
        daemon.wait_line(&format!("attached cgroup=\"app-{number}\"")).unwrap();
        let mut other = host.peer(&late);
        let pair = other.pair();
        assert_eq!(other.options(pair.client), options(true, idle, 13, 5, 0), "{how}");
        let status = host.status();
        assert_eq!(status["daemon"]["ready"], true, "{how}: {status}");
    }
    let told = serde_json::to_string(&events::held(&host, &[])).unwrap();
    assert!(told.contains("1970-01-02T"), "each is told with the time that it was: {told}");
    drop(clock);
    assert!(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() > YEAR);
    let said = daemon.text(Stream::Stderr);
    assert!(!said.contains("ERROR") && !said.contains("panicked"), "{said}");
    daemon.check().unwrap();
}
