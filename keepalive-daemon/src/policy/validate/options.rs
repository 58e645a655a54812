//! Which options other than keep-alive a policy sets.

use keepalive_ebpf::{CONGESTION_LENGTH, Options};

use crate::policy::diagnostic::{Fault, quote};
use crate::policy::document::Value;
use crate::policy::fields::{Field, Report};
use crate::policy::kernel_options::padded;
use crate::policy::{KernelOptions, KernelVersion};

/// From when on programs may set the timers of keep-alive, and most other options.
const MOST: KernelVersion = KernelVersion::new(5, 9);
const NOT_SENT_LOWAT: KernelVersion = KernelVersion::new(5, 10);
/// From when on programs may set whatever `setsockopt` knows.
const ANY: KernelVersion = KernelVersion::new(6, 1);

const INT_MAX: u32 = i32::MAX.unsigned_abs();

/// An option that is a number.
struct Number {
    name: &'static str,
    bit: u32,
    least: u32,
    most: u32,
    since: KernelVersion,
    of: fn(&mut Options) -> &mut u32,
}

const NUMBERS: [Number; 6] = [
    Number {
        name: "notSentLowat",
        bit: Options::NOT_SENT_LOWAT,
        least: 1,
        most: INT_MAX,
        since: NOT_SENT_LOWAT,
        of: |options| &mut options.not_sent_lowat,
    },
    Number {
        name: "maxSegment",
        bit: Options::MAX_SEGMENT,
        least: 88,
        most: 32_767,
        since: ANY,
        of: |options| &mut options.max_segment,
    },
    Number {
        name: "synCount",
        bit: Options::SYN_COUNT,
        least: 1,
        most: 127,
        since: MOST,
        of: |options| &mut options.syn_count,
    },
    Number {
        name: "priority",
        bit: Options::PRIORITY,
        least: 0,
        most: INT_MAX,
        since: MOST,
        of: |options| &mut options.priority,
    },
    Number {
        name: "mark",
        bit: Options::MARK,
        least: 0,
        most: u32::MAX,
        since: MOST,
        of: |options| &mut options.mark,
    },
    Number {
        name: "tos",
        bit: Options::TOS,
        least: 0,
        most: 255,
        since: MOST,
        of: |options| &mut options.tos,
    },
];

/// What `spec.options` says.
pub(super) fn read(field: &Field<'_>, kernel: &KernelOptions, report: &mut Report<'_>) -> Option<Options> {
    const NAMES: [&str; 8] =
        ["noDelay", "notSentLowat", "congestion", "maxSegment", "synCount", "priority", "mark", "tos"];
    let fields = field.fields(&NAMES, report)?;
    let mut options = Options::NONE;
    if let Some(field) = fields.optional("noDelay") {
        let value = field.boolean("write whether data is sent at once, as it is with `true`", report);
        let allowed = field.accept(kernel.check(ANY), report);
        options.which |= Options::NO_DELAY;
        options.no_delay = value.zip(allowed).is_some_and(|(value, ())| value).into();
    }
    for option in &NUMBERS {
        let Some(field) = fields.optional(option.name) else { continue };
        let value = number(field, option, report);
        field.accept(kernel.check(option.since), report);
        options.which |= option.bit;
        *(option.of)(&mut options) = value.unwrap_or_default();
    }
    if let Some(field) = fields.optional("congestion") {
        field.accept(kernel.check(MOST), report);
        options.which |= Options::CONGESTION;
        options.congestion = padded(congestion(field, kernel, report).unwrap_or_default());
        options.congestion_default = kernel.congestion_default();
    }
    Some(options)
}

fn number(field: &Field<'_>, option: &Number, report: &mut Report<'_>) -> Option<u32> {
    let Number { least, most, .. } = option;
    let range = format!("the kernel takes {least} to {most}");
    let given = match field.value() {
        // The tools that print marks print them so.
        Value::Text(text) if option.bit == Options::MARK => hexadecimal(text),
        _ => None,
    };
    let given = match given {
        Some(given) => i64::from(given),
        None => field.integer(&format!("write a number, {range}"), report)?,
    };
    let value = u32::try_from(given).ok().filter(|value| (*least..=*most).contains(value));
    field.accept(value.ok_or_else(|| Fault::new(format!("{given} is out of range"), range)), report)
}

fn hexadecimal(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0x")?;
    let is_hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| is_hexadecimal)
}

fn congestion<'d>(field: &Field<'d>, kernel: &KernelOptions, report: &mut Report<'_>) -> Option<&'d str> {
    const LONGEST: usize = CONGESTION_LENGTH - 1;
    let name = field.text("write the name of an algorithm, such as `bbr`", report)?;
    let is_in_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if name.is_empty() || name.len() > LONGEST || !name.bytes().all(is_in_name) {
        let message = format!("{} is not the name of an algorithm for congestion control", quote(name));
        let help = format!("write 1 to {LONGEST} lower-case letters, digits, `_` and `-`, such as `bbr`");
        field.note(Fault::new(message, help), report);
        return None;
    }
    field.accept(kernel.check_congestion(name), report).map(|()| name)
}
