//! A format is what a client's Accept field asks for, of those that can be written.

use crate::http::server::weight;

/// A format of exposition text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[expect(clippy::exhaustive_enums, reason = "who writes has to know each of them")]
pub enum Format {
    /// Prometheus' text, which all read.
    #[default]
    Text004,
    /// The same, where names may be any UTF-8, in quotes.
    Text100,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Text004, Self::Text100, Self::OpenMetrics];

    /// What the Content-Type field says.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text004 => "text/plain; version=0.0.4; charset=utf-8",
            Self::Text100 => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            Self::OpenMetrics => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
            }
        }
    }

    /// The format that an Accept field asks for: the one of the largest weight, of several the first.
    ///
    /// Where there is no field, or nothing in it that can be written, it is [`Text004`](Self::Text004), as all
    /// exporters have it.
    pub fn negotiate(accept: Option<&str>) -> Self {
        let mut best = (0, Self::Text004);
        let mut rest = accept.unwrap_or_default().as_bytes();
        while !rest.is_empty() {
            if let Some((weight, format)) = Self::range(take(&mut rest, b','))
                && weight > best.0
            {
                best = (weight, format);
            }
        }
        best.1
    }

    /// What a media range asks for, and its weight.
    fn range(range: &[u8]) -> Option<(u16, Self)> {
        let mut rest = range;
        let media = take(&mut rest, b';');
        let (mut weight, mut version, mut is_utf8) = (1000, None, false);
        while !rest.is_empty() {
            let mut value = take(&mut rest, b';');
            let name = take(&mut value, b'=');
            let value = unquoted(value);
            if name.eq_ignore_ascii_case(b"q") {
                weight = self::weight(value);
            } else if name.eq_ignore_ascii_case(b"version") {
                version = Some(value);
            } else if name.eq_ignore_ascii_case(b"escaping") {
                is_utf8 = value.eq_ignore_ascii_case(b"allow-utf-8");
            }
        }
        let is = |name: &str| media.eq_ignore_ascii_case(name.as_bytes());
        // A version that is not known is none that can be written.
        let said = |known: &str| version.is_none_or(|version| version == known.as_bytes());
        let format = if is("application/openmetrics-text") {
            (said("1.0.0") || said("0.0.1")).then_some(Self::OpenMetrics)?
        } else if is("text/plain") {
            // Names in quotes are for those alone who say that they read them.
            let is_new = !said("0.0.4") && said("1.0.0");
            if is_new && is_utf8 {
                Self::Text100
            } else {
                (is_new || said("0.0.4")).then_some(Self::Text004)?
            }
        } else if is("*/*") || is("text/*") {
            Self::Text004
        } else if is("application/*") {
            Self::OpenMetrics
        } else {
            return None;
        };
        Some((weight, format))
    }
}

/// Takes what is in front of a separator that is in no quotes, without blanks around it, or all of it.
fn take<'a>(text: &mut &'a [u8], at: u8) -> &'a [u8] {
    let mut is_quoted = false;
    let end = text.iter().position(|byte| {
        is_quoted ^= *byte == b'"';
        !is_quoted && *byte == at
    });
    let (part, rest) = text.split_at_checked(end.unwrap_or(text.len())).unwrap_or_default();
    *text = rest.get(1..).unwrap_or_default();
    part.trim_ascii()
}

/// A value without blanks and quotes around it.
fn unquoted(value: &[u8]) -> &[u8] {
    let mut value = value.trim_ascii();
    while let [b'"', rest @ ..] | [rest @ .., b'"'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scrapers_send_gets_what_they_like_best() {
        use Format::{OpenMetrics, Text004, Text100};
        for (accept, want) in [
            // Prometheus 2.42, with native histograms, 2.53, 3.x and its protobuf first.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
                 application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OpenMetrics,
            ),
            ("text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3", Text100),
            ("text/plain;version=1.0.0", Text004),
            ("text/plain; version=1.0.0; escaping=underscores", Text004),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", Text004),
            ("*/*", Text004),
            ("", Text004),
            ("application/json", Text004),
            ("application/openmetrics-text", OpenMetrics),
            ("Application/OpenMetrics-Text ; Version=0.0.1 ; Q=0.1", OpenMetrics),
            (
                "application/openmetrics-text;version=2.0.0,text/plain;version=1.0.0;escaping=Allow-UTF-8;q=0.1",
                Text100,
            ),
            ("application/openmetrics-text;q=0, */*;q=0.1", Text004),
            ("application/openmetrics-text; version=\"1.0.0\"; q=1.0, text/plain", OpenMetrics),
            ("text/plain, application/openmetrics-text", Text004),
            ("text/plain;q=0.5, application/*", OpenMetrics),
            (
                "text/plain;x=\"a,application/openmetrics-text\";q=0.1,application/openmetrics-text;q=0.2",
                OpenMetrics,
            ),
            (";;;,=,q=,\"", Text004),
        ] {
            assert_eq!(Format::negotiate(Some(accept)), want, "{accept}");
        }
        assert_eq!(Format::negotiate(None), Text004);
    }
}
