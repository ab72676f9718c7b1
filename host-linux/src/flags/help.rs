//! The texts that the table of commands makes: overview, usage, version, manual page.

use super::commands::{COMMANDS, Command};

/// The help of pmbridge as a whole.
pub(super) fn overview() -> String {
    let mut out =
        format!("pmbridge - {BRIEF}\n\nUsage: pmbridge COMMAND [OPTION ...] [OPERAND ...]\n\nCommands:\n");
    for command in COMMANDS {
        out += &format!("  {:<8}{}\n", command.name, command.brief);
    }
    out += "  help    show the options of a command: pmbridge help COMMAND\n\n";
    out += "Options:\n  -h, --help       show this text\n  -V, --version    show the version\n\n";
    out += "Called by a name that starts with 'pmda', it is 'pmbridge pmda'.\n";
    out
}

/// The help of one command.
pub(super) fn usage(command: &Command) -> String {
    let mut out =
        format!("pmbridge {} - {}\n\nUsage: pmbridge {0} [OPTION ...]", command.name, command.brief);
    if !command.operands.is_empty() {
        out = out + " " + command.operands;
    }
    out = out + "\n\n" + &filled(command.about, "") + "\nOptions:\n";
    for flag in command.flags {
        let spelt = match flag.short {
            Some(short) => format!("  -{short}, "),
            None => "      ".into(),
        };
        let takes = flag.takes.map(|takes| format!(" {takes}")).unwrap_or_default();
        let head = format!("{spelt}--{}{takes}", flag.long);
        let body = filled(flag.help, INDENT);
        // A short option and its help share a line.
        match INDENT.len().checked_sub(head.len()) {
            Some(gap @ 2..) => out += &format!("{head}{}{}", " ".repeat(gap), body.trim_start()),
            _ => out += &format!("{head}\n{body}"),
        }
    }
    out + "  -h, --help               show this text\n"
}

/// Text in lines of at most 80 columns, each behind `indent`.
fn filled(text: &str, indent: &str) -> String {
    let mut out = String::new();
    let mut line = String::from(indent);
    for word in text.split_whitespace() {
        if line.len() > indent.len() {
            if line.len().saturating_add(word.len()) >= COLUMNS {
                out = out + &line + "\n";
                line = indent.into();
            } else {
                line.push(' ');
            }
        }
        line += word;
    }
    out + &line + "\n"
}

/// The version line.
pub(super) fn version() -> String {
    format!("pmbridge {}\n", env!("CARGO_PKG_VERSION"))
}

/// The manual page, in troff's man macros.
pub(super) fn manual() -> String {
    let mut out = format!(
        ".\\\" Made by 'pmbridge man' from its table of commands.\n.TH PMBRIDGE 1 \"\" \"pmbridge {}\"\n",
        env!("CARGO_PKG_VERSION")
    );
    out += &format!(".SH NAME\npmbridge \\- {}\n.SH SYNOPSIS\n", troff(BRIEF));
    for command in COMMANDS {
        out +=
            &format!(".B pmbridge {}\n[\\fIOPTION\\fR ...] {}\n.br\n", command.name, troff(command.operands));
    }
    out += ".B pmbridge help\n[\\fICOMMAND\\fR]\n.br\n.B pmbridge \\-\\-version\n.SH DESCRIPTION\n";
    out += &format!("{}\n", troff(ABOUT));
    for command in COMMANDS {
        out += &format!(".SH {}\n{}\n", command.name.to_uppercase(), troff(command.about));
        for flag in command.flags {
            let short = flag.short.map(|short| format!("\\-{short}, ")).unwrap_or_default();
            let takes = flag.takes.map(|takes| format!(" \\fI{}\\fB", troff(takes))).unwrap_or_default();
            out += &format!(".TP\n.B {short}\\-\\-{}{takes}\n{}\n", troff(flag.long), troff(flag.help));
        }
    }
    out + CONFIGURATION + EPILOGUE
}

/// Text with what troff would take for its own made plain.
fn troff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

const BRIEF: &str = "the bridge between Performance Co-Pilot and Prometheus/OpenMetrics";
const ABOUT: &str = "pmbridge makes the metrics of Prometheus and OpenMetrics endpoints readable by PCP's tools, under \
                     pmcd or by itself. Called by a name that starts with pmda, it is pmbridge pmda.";
const CONFIGURATION: &str = include_str!("configuration.man");
const EPILOGUE: &str = ".SH FILES\n.TP\n.I $PCP_PMDAS_DIR/openmetrics/config.d\nthe sources\n\
                        .TP\n.I $PCP_VAR_DIR/config/pmda/DOMAIN.pmbridge\n\
                        the ids that sources, metrics and instances have, one a line:\n\
                        .BR \"source \" \"CLUSTER NAME\" ,\n.BR \"further \" \"CLUSTER OF\" ,\n\
                        .BR \"metric \" \"CLUSTER.ITEM NAME\" ,\n\
                        .BR \"instance \" \"CLUSTER.ITEM ID +|= NAME\" .\n\
                        A new id is there before it is shown to anybody. What is damaged is set aside as \
                        FILE.damaged, what can be read of it is kept, and the log says so\n\
                        .TP\n.I $PCP_LOG_DIR/pmcd/openmetrics.log\nthe log under pmcd\n\
                        .SH SEE ALSO\n.BR pmcd (1),\n.BR pminfo (1),\n.BR pmdaopenmetrics (1)\n";
const INDENT: &str = "                           ";
const COLUMNS: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_every_flag_and_fits_the_terminal() {
        for command in COMMANDS {
            let text = usage(command);
            assert!(text.lines().all(|line| line.len() <= COLUMNS), "{text}");
            for flag in command.flags {
                assert!(text.contains(&format!("--{}", flag.long)), "{}", flag.long);
                assert_eq!(command.flags.iter().filter(|other| other.long == flag.long).count(), 1);
                assert!(
                    flag.short
                        .is_none_or(|s| command.flags.iter().filter(|o| o.short == Some(s)).count() == 1)
                );
            }
        }
    }

    #[test]
    fn the_manual_page_is_up_to_date() {
        assert_eq!(
            manual(),
            include_str!("../../man/pmbridge.1"),
            "run 'pmbridge man > host-linux/man/pmbridge.1'"
        );
    }
}
