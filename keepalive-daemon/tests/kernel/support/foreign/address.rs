//! Programs of other tools for connect(2), which put a backend in the place of a service's address, as Cilium's do in
//! the place of kube-proxy.

use std::net::SocketAddrV4;

use super::assembler::{Assembler, CONTEXT, Width};

/// Where these are in the context.
const ADDRESS: i16 = 4;
const PORT: i16 = 24;

/// `if address == service { address = backend; port = … }; 1`
pub(super) fn instructions(service: SocketAddrV4, backend: SocketAddrV4) -> Vec<[u8; 8]> {
    let word = |address: SocketAddrV4| i32::from_ne_bytes(address.ip().octets());
    let mut code = Assembler::new();
    code.load(Width::Word, 2, CONTEXT, ADDRESS);
    code.jump_unless(2, word(service), "pass");
    code.set(2, word(backend));
    code.store(Width::Word, CONTEXT, ADDRESS, 2);
    code.set(2, i32::from(backend.port().to_be()));
    code.store(Width::Word, CONTEXT, PORT, 2);
    code.label("pass");
    code.end(1);
    code.finish()
}
