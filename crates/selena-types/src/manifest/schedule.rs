//! `schedule` of a manifest: `every:<n>s|m|h` or five cron fields (protocol, section 3).

use super::Schedule;

/// Longest interval of `every:`: a year in seconds.
const MAX_EVERY_SECS: u64 = 366 * 24 * 3600;

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScheduleError {
    /// Neither form.
    #[error("must be every:<n>s, every:<n>m, every:<n>h or five cron fields: minute hour day month weekday")]
    Form,
    /// An interval of nothing or of more than a year.
    #[error("the interval must be from 1 second to 366 days")]
    Interval,
    /// One of the five fields.
    #[error("cron field `{0}` must be `*`, numbers {1} to {2}, ranges a-b, steps /n, or lists of them")]
    Field(&'static str, u8, u8),
}

/// A field of a cron line: its name, its range, and names that stand for its numbers, from the first on.
struct CronField {
    name: &'static str,
    first: u8,
    last: u8,
    words: &'static [&'static str],
}

const FIELDS: [CronField; 5] = [
    CronField { name: "minute", first: 0, last: 59, words: &[] },
    CronField { name: "hour", first: 0, last: 23, words: &[] },
    CronField { name: "day of month", first: 1, last: 31, words: &[] },
    CronField {
        name: "month",
        first: 1,
        last: 12,
        words: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    // 0 and 7 are both Sunday, as cron has it.
    CronField { name: "weekday", first: 0, last: 7, words: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

impl Schedule {
    /// Reads `every:<n>s|m|h` or five cron fields in local time (protocol, section 3).
    /// A cron line is kept with single blanks and lower-case names.
    pub(super) fn new(text: &str) -> Result<Self, ScheduleError> {
        match text.strip_prefix("every:") {
            Some(interval) => every(interval).map(Self::EverySecs),
            None => cron(text).map(Self::Cron),
        }
    }
}

fn every(text: &str) -> Result<u64, ScheduleError> {
    let unit = text.chars().last().ok_or(ScheduleError::Form)?;
    let secs = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return Err(ScheduleError::Form),
    };
    let digits = text.strip_suffix(unit).filter(|digits| is_number(digits)).ok_or(ScheduleError::Form)?;
    let total = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(secs));
    total.filter(|total| (1..=MAX_EVERY_SECS).contains(total)).ok_or(ScheduleError::Interval)
}

fn cron(text: &str) -> Result<String, ScheduleError> {
    let line = text.to_ascii_lowercase();
    let fields: Vec<_> = line.split([' ', '\t']).filter(|field| !field.is_empty()).collect();
    if fields.len() != FIELDS.len() {
        return Err(ScheduleError::Form);
    }
    for (field, text) in FIELDS.iter().zip(&fields) {
        if !text.split(',').all(|item| field.takes(item)) {
            return Err(ScheduleError::Field(field.name, field.first, field.last));
        }
    }
    Ok(fields.join(" "))
}

impl CronField {
    /// Whether it is `*`, `a`, `a-b`, or one of `*` and `a-b` with a step.
    fn takes(&self, item: &str) -> bool {
        let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
        let step_good = step.is_none_or(|step| number(step).is_some_and(|step| (1..=self.last).contains(&step)));
        step_good
            && match range.split_once('-') {
                Some((from, to)) => matches!((self.value(from), self.value(to)), (Some(from), Some(to)) if from <= to),
                None => range == "*" || (step.is_none() && self.value(range).is_some()),
            }
    }

    fn value(&self, text: &str) -> Option<u8> {
        let word = self.words.iter().position(|word| *word == text).and_then(|index| u8::try_from(index).ok());
        let value = word.map(|index| index + self.first).or_else(|| number(text))?;
        (self.first..=self.last).contains(&value).then_some(value)
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn number(text: &str) -> Option<u8> {
    text.parse().ok().filter(|_| is_number(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_in_seconds() {
        for (text, secs) in
            [("every:1s", 1), ("every:90m", 5400), ("every:24h", 86_400), ("every:8784h", MAX_EVERY_SECS)]
        {
            assert_eq!(Schedule::new(text), Ok(Schedule::EverySecs(secs)), "{text}");
        }
        for text in ["every:0s", "every:8785h", "every:18446744073709551615h", "every:99999999999999999999s"] {
            assert_eq!(Schedule::new(text), Err(ScheduleError::Interval), "{text}");
        }
        for text in [
            "every:",
            "every:5",
            "every:s",
            "every:-1s",
            "every:+1s",
            "every:1.5h",
            "every: 1s",
            "every:1d",
            "every:1é",
        ] {
            assert_eq!(Schedule::new(text), Err(ScheduleError::Form), "{text}");
        }
    }

    #[test]
    fn cron_lines_are_checked_field_by_field() {
        for text in [
            "* * * * *",
            "*/5 0-23/2 1,15,20-25 jan-mar mon-fri",
            "59 23 31 12 7",
            "0 6 * * sun,SAT",
            "  0\t6 * *   0 ",
        ] {
            assert!(matches!(Schedule::new(text), Ok(Schedule::Cron(_))), "{text}");
        }
        assert_eq!(Schedule::new(" 0\t6 * *  SAT"), Ok(Schedule::Cron("0 6 * * sat".to_owned())));
        for text in ["", "* * * *", "* * * * * *", "@daily", "1s"] {
            assert_eq!(Schedule::new(text), Err(ScheduleError::Form), "{text:?}");
        }
        for (text, field) in [
            ("60 * * * *", "minute"),
            ("*/0 * * * *", "minute"),
            ("5/10 * * * *", "minute"),
            ("5- * * * *", "minute"),
            ("1,,2 * * * *", "minute"),
            ("*/5/5 * * * *", "minute"),
            ("-1 * * * *", "minute"),
            ("+1 * * * *", "minute"),
            ("* 24 * * *", "hour"),
            ("* 9-5 * * *", "hour"),
            ("* * 0 * *", "day of month"),
            ("* * 32 * *", "day of month"),
            ("* * ? * *", "day of month"),
            ("* * * 13 *", "month"),
            ("* * * mon *", "month"),
            ("* * * * 8", "weekday"),
            ("* * * * jan", "weekday"),
        ] {
            assert!(matches!(Schedule::new(text), Err(ScheduleError::Field(name, ..)) if name == field), "{text}");
        }
    }
}
