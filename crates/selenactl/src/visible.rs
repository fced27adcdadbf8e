//! Text of strangers, made fit for a terminal (X14).

/// A text with everything escaped that a terminal would obey or hide: control characters (ANSI sequences begin with
/// one), characters that turn the direction of text, invisible ones. The result is one line, and printable as it is.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmful(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// JSON with the same characters written as JSON's own escapes, so that it stays the same document.
pub(crate) fn visible_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        // Outside of strings JSON has no such character but the line breaks of a pretty document.
        if is_harmful(c) && c != '\n' {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| shown.push_str(&format!("\\u{unit:04x}")));
        } else {
            shown.push(c);
        }
    }
    shown
}

fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x14_what_a_terminal_would_obey_is_shown_instead() {
        for (text, shown) in [
            ("plain text, Lämpchen 灯 👩\u{200d}🔧", "plain text, Lämpchen 灯 👩\u{200d}🔧"),
            ("\x1b[31mred\x1b[0m", r"\u{1b}[31mred\u{1b}[0m"),
            ("\x1b]0;title\x07", r"\u{1b}]0;title\u{7}"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("a\r\nb\tc\0\x08\x7f", r"a\r\nb\tc\u{0}\u{8}\u{7f}"),
            ("exe.\u{202e}fdp", r"exe.\u{202e}fdp"),
            ("a\u{2066}b\u{200b}c\u{feff}d\u{2028}e\u{e0041}", r"a\u{2066}b\u{200b}c\u{feff}d\u{2028}e\u{e0041}"),
        ] {
            assert_eq!(visible(text), shown);
            assert_eq!(visible(shown), shown, "twice is the same");
        }
    }

    #[test]
    fn x14_no_character_that_a_terminal_obeys_comes_through() {
        let all: String = (0..=0x10_ffff).filter_map(char::from_u32).collect();
        for shown in [visible(&all), visible_json(&all.replace('\n', ""))] {
            assert!(!shown.contains(|c: char| c.is_control() || is_harmful(c)));
        }
    }

    #[test]
    fn escaped_json_is_the_same_document() {
        let value = serde_json::json!({"name": "\x1b[2J\u{9b}\u{202e}\u{e0041}ä\"\\", "list": [1, null]});
        let text = visible_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.contains(['\x1b', '\u{9b}', '\u{202e}', '\u{e0041}']) && text.contains('\n'));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
