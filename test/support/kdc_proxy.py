"""python3-kdcproxy behind TLS on a free port, which it prints.

Arguments: the file of its realms, the certificate, the key. Ends when standard input does.
"""
import os
import ssl
import sys
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

os.environ["KDCPROXY_CONFIG"] = sys.argv[1]
import kdcproxy  # noqa: E402  (reads the variable when it is loaded)


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    def log_message(self, *args):
        pass


server = make_server("127.0.0.1", 0, kdcproxy.Application(), Server, Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
