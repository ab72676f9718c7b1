//! A chip at the end of a serial line is a domain of pmcd, whatever becomes of chip and line.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pmbridge_tests::{Chip, Line, PMCD, PYTHON, Pmcd, Program, Setup, eventually, has, pmbridge, run};

/// A chip, its line, and the pmcd behind it.
struct Site {
    pmcd: Pmcd,
    link: PathBuf,
    line: Line,
    pmda: u32,
}

const PROGRAM: Program = Program { domain: 7, more: 40 };

impl Site {
    fn start() -> Self {
        // What a chip has may be below several roots of the name space.
        let setup = Setup::new().root("chip\t144:*:*\n\tsensor");
        let link = setup.dir.join("ttyCHIP");
        let line = Line::new(&link);
        let command = format!(
            "{} pmda -d 144 -r chip -u root -D -l {} --serial {},115200",
            pmbridge().display(),
            setup.dir.join("pmda.log").display(),
            link.display()
        );
        let pmcd = setup.start_line(&format!("chip\t144\tpipe\tbinary notready\t{command}"));
        // Children come and go before that one.
        let pmda = eventually("the PMDA", || pmcd.pmda().filter(|_| !pmcd.dir.read("pmda.log").is_empty()));
        Self { pmcd, link, line, pmda }
    }

    fn chip(&self, boot: u32) -> Chip {
        Chip::start(&self.line, boot, PROGRAM)
    }

    /// What pminfo prints of these.
    fn shows(&self, args: &[&str]) -> String {
        let shown = run(self.pmcd.tool("pminfo").args(args));
        shown.out + &shown.err
    }

    fn until_shows(&self, args: &[&str], what: &str) {
        eventually(&format!("{what} in pminfo {args:?} of {}", self.pmcd.dir.path().display()), || {
            self.shows(args).contains(what).then_some(())
        });
    }

    /// pmcd has the agent that it started with.
    fn is_same(&self) {
        assert_eq!(self.pmcd.pmda(), Some(self.pmda), "{}", self.pmcd.logs());
    }
}

#[test]
fn tools_read_a_chip_as_they_read_anything() {
    if !has("tools_read_a_chip_as_they_read_anything", &[PMCD, PYTHON]) {
        return;
    }
    let site = Site::start();
    let _chip = site.chip(1);
    site.until_shows(&["-f", "chip.uptime"], "    value ");
    let all = site.shows(&["-fdtTlm", "chip"]);
    for part in [
        "chip.temperature PMID: 144.1.2",
        "Semantics: instant",
        "Data Type: double",
        "inst [0 or \"cpu\"] value 41.5",
        "inst [1 or \"board\"] value 30.25",
        "value \"1.2.3\"",
        "Something that a chip knows.",
        "labels {\"agent\":\"chip\",\"board\":\"eval\"",
        "chip.more.m39 PMID: 144.1.",
        "value 273",
    ] {
        assert!(all.contains(part), "{part} is not in\n{all}\n{}", site.pmcd.logs());
    }
    assert!(!all.contains("Error"), "{all}");
    assert!(site.shows(&["-f", "sensor"]).contains("value 12"), "{}", site.pmcd.logs());
    let root = site.shows(&[]);
    assert!(root.contains("chip.uptime") && root.contains("sensor.level"), "{root}");
    let seen =
        run(site.pmcd.tool("pmval").args(["-s", "3", "-t", "0.1", "-f", "2", "chip.temperature"])).ok();
    assert_eq!(seen.matches("41.50").count(), 3, "{seen}");
    let one = run(site.pmcd.tool("pmval").args(["-s", "1", "-i", "board", "chip.temperature"])).ok();
    assert!(one.contains("30.25") && !one.contains("41.5"), "{one}");
    let python = run(Command::new(PYTHON).args(["-c", PMAPI, &format!("127.0.0.1:{}", site.pmcd.port)])).ok();
    assert_eq!(python.trim(), "43 names, 2 instances, 30.25, {\"agent\":\"chip\",\"board\":\"eval\"}");
    site.is_same();
}

const PMAPI: &str = r#"
import sys, json
from pcp import pmapi
import cpmapi as c
ctx = pmapi.pmContext(c.PM_CONTEXT_HOST, sys.argv[1])
names = []
ctx.pmTraversePMNS("chip", lambda name: names.append(name))
pmids = ctx.pmLookupName(["chip.temperature"])
desc = ctx.pmLookupDescs(pmids)[0]
insts, inames = ctx.pmGetInDom(desc)
result = ctx.pmFetch(pmids)
values = {}
for i in range(result.contents.get_numval(0)):
    inst = result.contents.get_inst(0, i)
    atom = ctx.pmExtractValue(result.contents.get_valfmt(0), result.contents.get_vlist(0, i), desc.contents.type, c.PM_TYPE_DOUBLE)
    values[inst] = atom.d
merged = {}
for level, found in ctx.pmLookupLabels(pmids[0]).items():
    merged.update(found)
mine = {k: merged[k] for k in ("agent", "board")}
print("%d names, %d instances, %s, %s" % (len(names), len(insts), values[1], json.dumps(mine, separators=(",", ":"))))
"#;

#[test]
fn pmcd_keeps_the_agent_while_the_chip_goes_and_comes() {
    if !has("pmcd_keeps_the_agent_while_the_chip_goes_and_comes", &[PMCD]) {
        return;
    }
    let site = Site::start();
    // Before it was ever there.
    site.until_shows(&["-f", "chip"], "Try again");
    let mut chip = site.chip(1);
    site.until_shows(&["-f", "chip.version"], "1.2.3");
    for boot in 2..6 {
        // As like as not in the midst of an answer.
        let mut tool = site.pmcd.tool("pminfo");
        tool.args(["-fdtT", "chip"]);
        let reader = std::thread::spawn(move || run(&mut tool));
        std::thread::sleep(Duration::from_millis(30 * u64::from(boot)));
        chip.stop();
        if boot % 2 == 0 {
            site.until_shows(&["-f", "chip"], "Try again");
        }
        chip = site.chip(boot);
        site.until_shows(&["-f", "chip.version"], "1.2.3");
        drop(reader.join().unwrap());
        site.is_same();
    }
    // The relay was there for pmcd all the time, and a reader who waits long enough sees every value.
    let all = site.shows(&["-f", "chip"]);
    assert!(all.contains("value 273") && !all.contains("Error"), "{all}");
    let log = site.pmcd.dir.read("pmda.log");
    assert!(log.contains("the chip answers (domain 7 there)") && log.contains("nobody answers"), "{log}");
}

#[test]
fn garbage_on_the_line_costs_time_and_nothing_else() {
    if !has("garbage_on_the_line_costs_time_and_nothing_else", &[PMCD]) {
        return;
    }
    let site = Site::start();
    // As a chip's own boot messages would be, and a frame that nobody has sent.
    site.line.noise(b"\x1b[2JBooting...\r\nlogin: \x7e\x14\0\0\0\x01\0\0\0\0\x7e\x7e\x7d");
    let chip = site.chip(1);
    site.until_shows(&["-f", "chip.version"], "1.2.3");
    let (stop, line) = (AtomicBool::new(false), &site.line);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut byte = 0_u8;
            while !stop.load(Ordering::Relaxed) {
                byte = byte.wrapping_mul(5).wrapping_add(0x7d);
                line.noise(&[byte, 0x7e, byte]);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        for _ in 0..10 {
            let shown = site.shows(&["-f", "chip"]);
            for line in shown.lines().filter(|line| line.contains("inst [0")) {
                assert!(line.contains("inst [0 or \"cpu\"] value 41.5"), "{shown}");
            }
            site.is_same();
        }
        stop.store(true, Ordering::Relaxed);
    });
    site.until_shows(&["-f", "chip"], "value 273");
    site.is_same();
    assert!(chip.stop() >= 1);
}

#[test]
fn a_line_that_is_pulled_out_and_put_in_again_is_found() {
    if !has("a_line_that_is_pulled_out_and_put_in_again_is_found", &[PMCD]) {
        return;
    }
    let mut site = Site::start();
    let chip = site.chip(1);
    site.until_shows(&["-f", "chip.version"], "1.2.3");
    chip.stop();
    // Another line takes the place of the first, which hangs up.
    site.line = Line::new(&site.link);
    site.until_shows(&["-f", "chip"], "Try again");
    let chip = site.chip(2);
    site.until_shows(&["-f", "chip.version"], "1.2.3");
    site.is_same();
    // And one that is not there for a while.
    chip.stop();
    std::fs::remove_file(&site.link).unwrap();
    site.line = Line::new(&site.pmcd.dir.join("ttyOTHER"));
    site.until_shows(&["-f", "chip"], "Try again");
    site.line = Line::new(&site.link);
    let _chip = site.chip(3);
    site.until_shows(&["-f", "chip.version"], "1.2.3");
    site.is_same();
    let log = site.pmcd.dir.read("pmda.log");
    assert!(log.matches("tried again every second").count() <= 3, "{log}");
}

#[test]
fn a_line_that_cannot_be_is_refused_or_told() {
    let refused = |line: &str| run(Command::new(pmbridge()).args(["pmda", "--serial", line]));
    for line in ["/dev/ttyS0,", "/dev/ttyS0,1200", "/dev/ttyS0,fast"] {
        let said = refused(line);
        assert!(said.code == 2 && said.err.contains("usual speeds"), "{said:?}");
    }
    // What may still be plugged in is waited for, here as long as whoever holds the pipe is there.
    for (line, why) in [("/no/such/line", "No such file"), ("/dev/null", "it is no serial line")] {
        let command = format!("sleep 1 | {} pmda -u root -l - --serial {line}", pmbridge().display());
        let said = run(Command::new("sh").args(["-c", &command]));
        assert!(said.code == 0 && said.err.contains(why) && said.err.contains("pmcd has gone"), "{said:?}");
    }
}
