"""An HTTPS endpoint: CERTIFICATE KEY. Prints its port.

/m answers with how many connections and resumed sessions there were so far; /close the same, and closes the connection
after it; /cut sends a page without a length and cuts the connection without TLS's goodbye; /slow sends a page in pieces
of one TLS record each.
"""

import http.server
import socket
import ssl
import sys
import time

connections = 0
resumed = 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        global connections, resumed
        super().setup()
        connections += 1
        resumed += self.request.session_reused

    def do_GET(self):
        page = f"connections {connections}\nresumed {resumed}\n".encode()
        self.send_response(200)
        if self.path == "/cut":
            self.end_headers()
            self.wfile.write(page)
            self.wfile.flush()
            self.request.unwrap = None
            socket.socket.shutdown(self.request, socket.SHUT_RDWR)
            self.close_connection = True
            return
        if self.path == "/big":
            page = b"".join(b"big{i=\"%d\"} %d\n" % (i, i) for i in range(100_000))
        self.send_header("Content-Length", str(len(page)))
        if self.path == "/close":
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.path == "/slow":
            for at in range(len(page)):
                self.wfile.write(page[at : at + 1])
                self.wfile.flush()
                time.sleep(0.002)
        else:
            self.wfile.write(page)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    # The handshake is the connection's own thread's.
    def get_request(self):
        plain, address = self.socket.accept()
        return plain, address

    def finish_request(self, plain, address):
        plain.settimeout(60)
        try:
            with context.wrap_socket(plain, server_side=True) as tls:
                self.RequestHandlerClass(tls, address, self)
        except (ssl.SSLError, OSError) as error:
            print("refused:", error, flush=True)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
if len(sys.argv) > 3:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
server = Server(("127.0.0.1", 0), Handler)
print("port", server.server_address[1], flush=True)
server.serve_forever()
