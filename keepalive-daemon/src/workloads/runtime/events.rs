//! The runtime's own word that something happened.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, time::sleep};
use tonic::{Code, Status};
use tracing::debug;

use super::connection::{Client, Version, shown};

/// How long to wait before subscribing again: at first, and at most. CRI-O ends the stream at once where
/// `enable_pod_events` is off, as it is by default.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// Whether each subscriber gets all events. With containerd 1.7 they share them: who subscribes takes events away from
/// the kubelet. CRI-O sends them to all, in its source since they exist.
pub(super) fn are_broadcast(runtime: &Version) -> bool {
    match runtime.name.as_str() {
        "containerd" => major(&runtime.version).is_some_and(|major| major >= 2),
        "cri-o" => true,
        _ => false,
    }
}

fn major(version: &str) -> Option<u32> {
    version.trim_start_matches('v').split('.').next()?.parse().ok()
}

/// Tells of each event, for as long as it is let. What is missed between two subscriptions is found by the list.
pub(super) async fn follow(mut client: Client, happened: Arc<Notify>) {
    let mut pause = AGAIN.0;
    loop {
        match subscribe(&mut client, &happened).await {
            Ok(0) => debug!("the container runtime ended the stream of events before the first"),
            Ok(_) => pause = AGAIN.0,
            Err(status) if status.code() == Code::Unimplemented => {
                debug!("the container runtime has no events");
                return;
            }
            Err(status) => debug!(answer = shown(&status), "the container runtime's events ended"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(AGAIN.1);
    }
}

/// Follows one stream of events to its end; returns how many there were.
async fn subscribe(client: &mut Client, happened: &Notify) -> Result<u64, Status> {
    let mut events = client.events().await?;
    let mut count = 0;
    while events.message().await?.is_some() {
        count += 1;
        happened.notify_one();
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_followed_only_where_nobody_else_misses_them() {
        for (name, version, expected) in [
            ("containerd", "1.6.20~ds1", false),
            ("containerd", "1.7.24~ds1", false),
            ("containerd", "v1.7.24", false),
            ("containerd", "2.1.9+ds1", true),
            ("containerd", "v2.0.5-k3s1", true),
            ("containerd", "10.0.0", true),
            ("containerd", "", false),
            ("containerd", "unknown", false),
            ("cri-o", "1.30.1", true),
            ("docker", "28.0.0", false),
        ] {
            let runtime = Version { name: name.to_owned(), version: version.to_owned() };
            assert_eq!(are_broadcast(&runtime), expected, "{runtime}");
        }
    }
}
