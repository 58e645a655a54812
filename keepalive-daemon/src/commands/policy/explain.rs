//! `policy explain`: why a pod or a cgroup is governed as it is.

use anyhow::{Context as _, Result};
use clap::{ArgGroup, Args};

use crate::{
    answers::Subject,
    api::{self, SubjectQuery, client},
    cli::{OutputArg, SocketArg},
    commands::failure::Verdict,
    report::{self, explanation::Explanation},
};

/// Explain which policy governs a pod or a cgroup of this node, why, and with which values.
#[derive(Clone, Debug, Args)]
#[command(group(ArgGroup::new("subject").required(true)))]
pub(crate) struct Options {
    /// The pod.
    #[arg(value_name = "NAMESPACE/POD", group = "subject", value_parser = |text: &str| pod(text))]
    pod: Option<String>,
    /// The cgroup, by its path below the cgroup root.
    #[arg(long, value_name = "PATH", group = "subject")]
    cgroup: Option<String>,
    #[command(flatten)]
    socket: SocketArg,
    #[command(flatten)]
    output: OutputArg,
}

/// Asks the daemon and prints the explanation.
pub(crate) fn run(options: Options) -> Result<Verdict> {
    let Options { pod, cgroup, socket, output } = options;
    let subject = pod.map_or_else(|| Subject::Cgroup(cgroup.unwrap_or_default()), Subject::Pod);
    let query =
        serde_urlencoded::to_string(SubjectQuery::from(subject)).context("cannot write the question")?;
    let explanation: Explanation = client::require(&socket.api_socket, &format!("{}?{query}", api::EXPLAIN))?;
    report::print(&explanation, output.output)?;
    Ok(Verdict::Good)
}

fn pod(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(text.to_owned())
        }
        _ => Err("a pod is named as NAMESPACE/POD, such as default/web-0".to_owned()),
    }
}
