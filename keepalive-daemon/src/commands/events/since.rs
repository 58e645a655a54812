//! From when on somebody wants to know.

use std::{
    str::FromStr,
    time::{Duration, SystemTime},
};

use crate::{policy::parse_duration, report::events::Line};

/// A number of the daemon that runs, or a time, which outlives daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    Number(u64),
    Time(SystemTime),
    Ago(Duration),
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.parse().map(Self::Number).ok();
        let time = || humantime::parse_rfc3339_weak(text).map(Self::Time).ok();
        let ago = || parse_duration(text).map(Self::Ago).ok();
        number.or_else(time).or_else(ago).ok_or_else(|| {
            "it is neither the number of an event, nor a time as 2026-01-31T12:00:00Z, nor a duration as 10m"
                .to_owned()
        })
    }
}

impl Since {
    /// The number, which the daemon goes by.
    pub(super) const fn number(self) -> Option<u64> {
        if let Self::Number(number) = self { Some(number) } else { None }
    }

    /// What leaves off events that came before.
    pub(super) fn filter(self) -> Filter {
        let time = match self {
            Self::Number(_) => None,
            Self::Time(time) => Some(time),
            Self::Ago(ago) => SystemTime::now().checked_sub(ago),
        };
        Filter { time, missed: 0 }
    }
}

/// Lines with events after a time; by default all.
#[derive(Debug, Default)]
pub(super) struct Filter {
    time: Option<SystemTime>,
    /// Events that are no longer held, and came before one of which it is not known yet whether it is told.
    missed: u64,
}

impl Filter {
    /// What is told of a line.
    pub(super) fn pass(&mut self, line: Line) -> Vec<Line> {
        let Some(after) = self.time else { return vec![line] };
        match line {
            Line::Missed { missed } => {
                self.missed += missed;
                Vec::new()
            }
            Line::Event(record) if humantime::parse_rfc3339(&record.time).is_ok_and(|time| time <= after) => {
                self.missed = 0;
                Vec::new()
            }
            line => {
                let missed = std::mem::take(&mut self.missed);
                (missed > 0).then_some(Line::Missed { missed }).into_iter().chain([line]).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Event, Kind, Record};

    fn event(sequence: u64, time: &str) -> Line {
        let event = Event::new(Kind::Attached);
        Line::Event(Box::new(Record { sequence, time: format!("2026-01-01T{time}.000Z"), times: 1, event }))
    }

    /// The numbers of the events that are told, and how many were missed.
    fn told(since: &str, lines: Vec<Line>) -> (Vec<u64>, u64) {
        let mut filter = since.parse::<Since>().expect("it is one").filter();
        let (mut numbers, mut all_missed) = (Vec::new(), 0);
        for line in lines.into_iter().flat_map(|line| filter.pass(line)) {
            match line {
                Line::Event(record) => numbers.push(record.sequence),
                Line::Missed { missed } => all_missed += missed,
                Line::NotReached { .. } => {}
            }
        }
        (numbers, all_missed)
    }

    #[test]
    fn a_number_a_time_and_a_duration_are_told_apart() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(60);
        for (text, since) in [
            ("60", Since::Number(60)),
            ("1970-01-01T00:01:00Z", Since::Time(time)),
            ("1970-01-01 00:01:00", Since::Time(time)),
            ("10m", Since::Ago(Duration::from_secs(600))),
        ] {
            assert_eq!(text.parse(), Ok(since), "{text}");
        }
        for text in ["", "-1", "yesterday", "99999999999999999999"] {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_came_before_is_left_off_and_so_is_what_was_lost_before_that() {
        let lines = || {
            let lost = |missed| Line::Missed { missed };
            vec![lost(3), event(4, "12:00:00"), event(5, "12:00:01"), lost(2), event(8, "12:00:02")]
        };

        assert_eq!(told("2026-01-01T12:00:00Z", lines()), (vec![5, 8], 2));
        assert_eq!(told("2026-01-01T11:00:00Z", lines()), (vec![4, 5, 8], 5));
        assert_eq!(told("2026-01-01T13:00:00Z", lines()), (vec![], 0));
        assert_eq!(
            told("4", lines()),
            (vec![4, 5, 8], 5),
            "of numbers the daemon has left off what it had to"
        );
    }
}
