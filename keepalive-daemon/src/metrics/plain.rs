//! The exposition as who knows no OpenMetrics reads it: Prometheus's own text format, 0.0.4. Pure.
//!
//! They differ in little: in OpenMetrics the type is that of the family, whose samples have a suffix, and here that of
//! the samples; there are no infos, units or end.

use std::fmt::Write as _;

/// Turns an exposition of OpenMetrics into one of the older format.
pub(super) fn plain(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help: Option<(&str, &str)> = None;
    for line in openmetrics.lines() {
        if let Some((name, words)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            help = Some((name, words));
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                kind => ("", kind),
            };
            if let Some((_, words)) = help.take().filter(|(of, _)| *of == name) {
                let _ = writeln!(text, "# HELP {name}{suffix} {words}");
            }
            let _ = writeln!(text, "# TYPE {name}{suffix} {kind}");
        } else if !line.starts_with("# ") {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_those_of_the_samples_and_what_is_unknown_there_is_left_out() {
        let openmetrics = "\
# HELP a_build The build.
# TYPE a_build info
a_build_info{version=\"1\"} 1
# HELP a_seen Seen.
# TYPE a_seen counter
a_seen_total{what=\"x # TYPE y\"} 3
# HELP a_took_seconds How long.
# TYPE a_took_seconds histogram
# UNIT a_took_seconds seconds
a_took_seconds_sum 0.5
a_took_seconds_count 1
a_took_seconds_bucket{le=\"+Inf\"} 1
# EOF
";
        assert_eq!(
            plain(openmetrics),
            "\
# HELP a_build_info The build.
# TYPE a_build_info gauge
a_build_info{version=\"1\"} 1
# HELP a_seen_total Seen.
# TYPE a_seen_total counter
a_seen_total{what=\"x # TYPE y\"} 3
# HELP a_took_seconds How long.
# TYPE a_took_seconds histogram
a_took_seconds_sum 0.5
a_took_seconds_count 1
a_took_seconds_bucket{le=\"+Inf\"} 1
"
        );
    }
}
