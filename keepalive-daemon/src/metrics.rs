//! Metrics and health over HTTP, for Prometheus and for the probes of Kubernetes.
//!
//! A thread of its own serves them, with a runtime of its own, so that whoever asks, how often and how slowly, takes
//! none of the time of the daemon's one loop. That is asked one thing a scrape, a [`Snapshot`], and not more than once
//! a second; what becomes text of it does so here.
//!
//! Names follow what node agents do: the prefix `keepalive_`, counters that end in `_total`, seconds, and labels whose
//! values are few. A policy has one label, its name as everything shows it (`payments/checkout`): a label `namespace` is
//! what Prometheus itself gives to what it scrapes in Kubernetes. There is none for pods and destinations, unless
//! `--metrics-labels` asks for it; so there are as many series as policies times results, whatever runs on the node.

mod address;
mod collect;
mod exposition;
mod options;
mod plain;
mod respond;
mod server;
mod snapshot;
mod totals;

use clap::{Args, ValueEnum};
use tokio::sync::oneshot;

pub(crate) use address::Address;
pub(crate) use collect::View;
pub(crate) use server::serve;
pub(crate) use snapshot::{Reconciles, Snapshot};
pub(crate) use totals::{Sums, Totals};

use crate::report::health::Health;

/// A question for the daemon's loop, with where the answer goes. Whoever asked may have gone away meanwhile.
pub(crate) enum Question {
    Health(oneshot::Sender<Health>),
    Snapshot(oneshot::Sender<Box<Snapshot>>),
}

/// What is served, and where.
#[derive(Clone, Debug, Args)]
pub(crate) struct MetricsArgs {
    /// Where to serve metrics and health over HTTP (`/metrics`, `/healthz`, `/readyz`): an address with its port,
    /// `:9798` for all addresses, or `none`. Whoever can connect can read them; they name policies.
    #[arg(
        long = "metrics",
        value_name = "ADDRESS|none",
        env = "KEEPALIVE_METRICS",
        default_value = "127.0.0.1:9798",
        value_parser = |text: &str| text.parse::<Address>()
    )]
    pub(crate) address: Address,
    /// Metrics of each governed cgroup besides those of each policy, with these labels; with `pod` alone only of those
    /// that are pods. Their number is that of cgroups on the node, and they end with them.
    #[arg(
        long = "metrics-labels",
        value_enum,
        value_name = "LABELS",
        env = "KEEPALIVE_METRICS_LABELS",
        value_delimiter = ','
    )]
    pub(crate) labels: Vec<Label>,
}

/// A label of what is told of single cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Label {
    /// The pod, as `pod` and `pod_namespace`.
    Pod,
    /// The path of the cgroup.
    Cgroup,
}
