//! The options other than keep-alive that a policy sets, by the names they have in policies.

use keepalive_ebpf::Options;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The values of those that are set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct OptionValues {
    #[serde(skip_serializing_if = "Option::is_none")]
    no_delay: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_sent_lowat: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    congestion: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_segment: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    syn_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mark: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tos: Option<u32>,
}

impl OptionValues {
    pub(super) fn new(options: &Options) -> Self {
        let set = |bit: u32, value: u32| (options.which & bit != 0).then_some(value);
        let name = || {
            let name = options.congestion.split(|&byte| byte == 0).next().unwrap_or_default();
            String::from_utf8_lossy(name).into_owned()
        };
        Self {
            no_delay: set(Options::NO_DELAY, options.no_delay).map(|value| value != 0),
            not_sent_lowat: set(Options::NOT_SENT_LOWAT, options.not_sent_lowat),
            congestion: (options.which & Options::CONGESTION != 0).then(name),
            max_segment: set(Options::MAX_SEGMENT, options.max_segment),
            syn_count: set(Options::SYN_COUNT, options.syn_count),
            priority: set(Options::PRIORITY, options.priority),
            mark: set(Options::MARK, options.mark),
            tos: set(Options::TOS, options.tos),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// All in one line; `None` if there is none.
    pub(crate) fn shown(&self) -> Option<String> {
        let Self { no_delay, not_sent_lowat, congestion, max_segment, syn_count, priority, mark, tos } = self;
        let number = |value: &Option<u32>| value.map(|value| value.to_string());
        let options = [
            ("noDelay", no_delay.map(|value| value.to_string())),
            ("notSentLowat", number(not_sent_lowat)),
            ("congestion", congestion.clone()),
            ("maxSegment", number(max_segment)),
            ("synCount", number(syn_count)),
            ("priority", number(priority)),
            ("mark", mark.map(|mark| format!("{mark:#x}"))),
            ("tos", number(tos)),
        ];
        let shown = options.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?)));
        let shown: Vec<String> = shown.collect();
        (!shown.is_empty()).then(|| shown.join(", "))
    }
}
