"""A small hub on loopback that speaks both APIs, and can be told to misbehave."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """Files of one repository; ``requests`` records (path, range, authorization)."""

    def __init__(self, files: dict[str, bytes], identity: str = "owner/name") -> None:
        self.files, self.identity = files, identity
        self.requests: list[tuple[str, str | None, str | None]] = []
        self.cut_after: dict[str, int] = {}
        """Break the connection once after so many bytes of a file."""
        self.altered: set[str] = set()
        """Files whose bytes differ from what is stated."""
        self.gated = False
        self.ignores_ranges = False
        self.endpoint = ""

    def n_requests(self, path: str) -> int:
        return sum(path in asked for asked, _, _ in self.requests)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_digest(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def serve(hub: FakeHub) -> Iterator[FakeHub]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            path, query = unquote(parts.path), parse_qs(parts.query)
            hub.requests.append(
                (self.path, self.headers.get("Range"), self.headers.get("Authorization"))
            )
            if hub.gated and self.headers.get("Authorization") != "Bearer secret":
                return self.answer(401, b"{}")
            if path == f"/api/models/{hub.identity}/revision/main":
                return self.answer_json({"sha": COMMIT, "siblings": hugging_face_files()})
            if path.startswith(f"/{hub.identity}/resolve/{COMMIT}/"):
                # Large files move to a content network under another host name.
                name = path.rpartition("/")[2]
                if name.endswith(".safetensors"):
                    port = self.server.server_address[1]
                    return self.answer(302, b"", location=f"http://localhost:{port}/cdn/{name}")
                return self.answer_file(name)
            if path.startswith("/cdn/"):
                return self.answer_file(path.removeprefix("/cdn/"))
            if path == f"/api/v1/models/{hub.identity}/repo/files":
                return self.answer_json({"Code": 200, "Data": {"Files": modelscope_files()}})
            if path == f"/api/v1/models/{hub.identity}/repo":
                return self.answer_file(query["FilePath"][0])
            self.answer(404, b"{}")

        def answer_json(self, content: object) -> None:
            self.answer(200, json.dumps(content).encode())

        def answer(self, status: int, content: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def answer_file(self, name: str) -> None:
            content = hub.files[name]
            if name in hub.altered:
                content = bytes([content[0] ^ 1]) + content[1:]
            asked = self.headers.get("Range")
            if asked is None or hub.ignores_ranges:
                status, body, headers = 200, content, {}
            else:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                status, body = 206, content[start:]
                headers = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            cut = hub.cut_after.pop(name, None)
            if cut is None:
                return self.answer(status, body, **headers)
            self.send_response(status)
            for header, value in headers.items():
                self.send_header(header.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:cut])
            self.close_connection = True

    def hugging_face_files() -> list[dict[str, object]]:
        found: list[dict[str, object]] = []
        for name, content in hub.files.items():
            entry: dict[str, object] = {
                "rfilename": name,
                "size": len(content),
                "blobId": git_digest(content),
            }
            if name.endswith((".safetensors", ".bin")):
                entry["lfs"] = {"sha256": sha256(content), "size": len(content)}
            found.append(entry)
        return found

    def modelscope_files() -> list[dict[str, object]]:
        files: list[dict[str, object]] = [
            {"Path": name, "Size": len(content), "Sha256": sha256(content), "Type": "blob"}
            for name, content in hub.files.items()
        ]
        return [{"Path": "assets", "Size": 0, "Sha256": "", "Type": "tree"}, *files]

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
