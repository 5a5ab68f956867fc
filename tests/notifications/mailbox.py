"""A mail server on loopback that takes every letter: as much of SMTP as a sender without a name needs."""

from __future__ import annotations

import email
import email.policy
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage


@dataclass(frozen=True)
class Letter:
    to: list[str]
    message: EmailMessage

    @property
    def text(self) -> str:
        body = self.message.get_body(("plain",))
        assert body is not None
        return str(body.get_content())


@contextmanager
def mailbox() -> Iterator[tuple[str, list[Letter]]]:
    """Yield the server's host and port, and what arrives there."""
    letters: list[Letter] = []

    class Session(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 ready")
            to: list[str] = []
            while line := self.rfile.readline().decode().strip():
                word = line.upper()
                if word.startswith("RCPT TO:"):
                    to.append(line[8:].strip(" <>"))
                if word == "DATA":
                    self.say("354 go on")
                    letters.append(Letter(to, self.letter()))
                self.say("221 bye" if word == "QUIT" else "250 fine")

        def say(self, words: str) -> None:
            self.wfile.write(f"{words}\r\n".encode())

        def letter(self) -> EmailMessage:
            lines = []
            while (line := self.rfile.readline()) not in (b".\r\n", b""):
                lines.append(line.removeprefix(b"."))
            read = email.message_from_bytes(b"".join(lines), policy=email.policy.default)
            assert isinstance(read, EmailMessage)
            return read

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", letters
        finally:
            server.shutdown()
            thread.join()
