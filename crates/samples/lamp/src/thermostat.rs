//! When the lamp is to be on: pure logic.

/// Below this it is cold: the lamp goes on.
const ON_BELOW_CELSIUS: f64 = 20.5;
/// Above this it is warm: the lamp goes off. In between it stays as it is.
const OFF_ABOVE_CELSIUS: f64 = 21.5;

/// A wish to switch.
#[derive(Debug, PartialEq)]
pub(crate) struct Switch {
    pub(crate) on: bool,
    pub(crate) because: String,
}

/// What to do at `celsius` with a lamp that is `on`; `None` for a lamp not known to be either.
pub(crate) fn decide(on: Option<bool>, celsius: f64) -> Option<Switch> {
    let (wanted, because) = if celsius < ON_BELOW_CELSIUS {
        (true, format!("{celsius} °C is below {ON_BELOW_CELSIUS} °C"))
    } else if celsius > OFF_ABOVE_CELSIUS {
        (false, format!("{celsius} °C is above {OFF_ABOVE_CELSIUS} °C"))
    } else {
        return None;
    };
    (on != Some(wanted)).then_some(Switch { on: wanted, because })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_at_the_edges_of_the_band_and_only_upon_change() {
        for (on, celsius, wanted) in [
            (None, 20.4, Some(true)),
            (None, 21.0, None),
            (None, 21.6, Some(false)),
            (Some(false), 20.4, Some(true)),
            (Some(false), 20.5, None),
            (Some(false), 21.6, None),
            (Some(true), 20.4, None),
            (Some(true), 21.5, None),
            (Some(true), 21.6, Some(false)),
            (Some(true), f64::NAN, None),
        ] {
            assert_eq!(decide(on, celsius).map(|switch| switch.on), wanted, "{on:?} at {celsius}");
        }
    }

    #[test]
    fn tells_why() {
        let switch = decide(Some(false), 19.25).unwrap();
        assert_eq!(switch.because, "19.25 °C is below 20.5 °C");
    }
}
