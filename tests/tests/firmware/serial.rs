//! The firmware at the end of a serial line, as a domain of a real pmcd.

use pmbridge_tests::{Board, Firmware, PMCD, Setup, eventually, get, has, pmbridge, run};

use super::DECLARED;

#[test]
fn pmcd_has_the_board_at_the_end_of_a_serial_line_beside_its_own_network() {
    const NAME: &str = "pmcd_has_the_board_at_the_end_of_a_serial_line_beside_its_own_network";
    for board in [Board::Lm3s6965evb, Board::Mps2An385] {
        if !board.is_there(NAME) || !has(NAME, &[PMCD]) {
            continue;
        }
        let firmware = Firmware::on(board, &["--serial"]);
        let line = eventually("the serial line", || {
            firmware.process.said().lines().find_map(|line| Some(line.strip_prefix("SERIAL ")?.to_owned()))
        });
        let setup = Setup::new().root("device\t144:*:*\n\tsensor");
        let command = format!(
            "{} pmda -d 144 -r device -u root -l {} --serial {line},115200",
            pmbridge().display(),
            setup.dir.join("pmda.log").display()
        );
        let pmcd = setup.start_line(&format!("device\t144\tpipe\tbinary notready\t{command}"));
        let shown = eventually(&format!("the board's values; {}", pmcd.logs()), || {
            let shown = run(pmcd.tool("pminfo").args(["-f", "device", "sensor"])).out;
            shown.contains("inst [0 or \"chip\"] value 41.5").then_some(shown)
        });
        for (name, _) in DECLARED {
            assert!(shown.contains(name), "{name}:\n{shown}");
        }
        let response = get(firmware.http, "/metrics", &[]);
        assert!(response.text().contains("sensor_temperature{sensor=\"chip\"} 41.5"), "{response:?}");
    }
}
