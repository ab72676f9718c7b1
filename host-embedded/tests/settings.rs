//! What a firmware may tell the agent, and what it may not.

use core::net::Ipv4Addr;

use pmbridge_embedded::{Address, Error, Neighbour, Settings};

const SETTINGS: Settings =
    Settings { labels: "", mac: [2, 0, 0, 0, 0, 1], address: Address::Dhcp, neighbours: &[NODE], seed: 1 };

const NODE: Neighbour = Neighbour {
    name: "node",
    address: Ipv4Addr::new(10, 0, 0, 2),
    port: 9100,
    path: "/metrics",
    include: &[],
    exclude: &[],
};

/// It is known as it is compiled.
const _: () = assert!(Neighbour::check(&[NODE]).is_ok());

#[test]
fn labels_are_exposition_text_that_pcp_can_have_or_there_is_no_agent() {
    for labels in [
        "hostname=b",
        r#"{a="b"}"#,
        r#"hostname="b"x"#,
        r#"9a="1""#,
        r#"_a="1""#,
        r#"="1""#,
        r#"a="1",a="2""#,
        r#"a="1",b="2",a="3""#,
        r#"a="1","#,
        r#",a="1""#,
        r#"a="1",,b="2""#,
        r#"a="1" ,b="2""#,
        r#"a="1"#,
        r#"a="\""#,
        r#"a="\x""#,
        "a=\"\n\"",
        " ",
        "a",
    ] {
        assert_eq!(Settings { labels, ..SETTINGS }.check(), Err(Error::Labels), "{labels}");
    }
    for labels in ["", r#"a="""#, r#"hostname="b",a_9="{x=\"y\"},\\ \n ü""#] {
        assert_eq!(Settings { labels, ..SETTINGS }.check(), Ok(()), "{labels}");
    }
}

#[test]
fn a_neighbour_has_a_name_of_its_own_that_pcp_can_have_and_can_be_reached() {
    for name in ["", "9x", "a..b", "a.", "ü", "node-1", "a b"] {
        assert_eq!(Neighbour::check(&[NODE, Neighbour { name, ..NODE }]), Err(Error::Name(name)));
    }
    assert_eq!(Neighbour::check(&[NODE, Neighbour { name: "b", ..NODE }, NODE]), Err(Error::Twice("node")));
    let (below, beside) = (Neighbour { name: "node.b", ..NODE }, Neighbour { name: "node_b", ..NODE });
    assert_eq!(Neighbour::check(&[below, NODE]), Err(Error::Twice("node.b")));
    assert_eq!(Neighbour::check(&[NODE, below]), Err(Error::Twice("node")));
    assert_eq!(Neighbour::check(&[NODE, beside]), Ok(()));
    for path in ["", "metrics", "/a b", "/a\r\nX: y", "/a\0"] {
        assert_eq!(Neighbour::check(&[Neighbour { path, ..NODE }]), Err(Error::Path(path)));
    }
    for nowhere in [
        Neighbour { port: 0, ..NODE },
        Neighbour { address: Ipv4Addr::UNSPECIFIED, ..NODE },
        Neighbour { address: Ipv4Addr::BROADCAST, ..NODE },
    ] {
        assert_eq!(Neighbour::check(&[nowhere]), Err(Error::Unreachable("node")));
    }
    let others = ["a", "b.c", "X_9", "devices"].map(|name| Neighbour { name, path: "/ü?x=1", ..NODE });
    assert_eq!(Neighbour::check(&others), Ok(()));
}
