"""Reads SMTP replies out of whatever pieces a relay sends (RFC 5321 4.2): what is none is never taken for one."""

import re
from collections import deque

from resetsvc.relay.verdict import Reply

_LINE = re.compile(r"[2-5][0-9][0-9](?:[ -]|\Z)")
_MOST_OCTETS = 16_384  # RFC 5321 asks for 512 a line; what never ends is not a reply
_MOST_AHEAD = 3  # to MAIL, RCPT and DATA in one packet: more than that nobody asked for


class ReplyReader:
    """The replies of one session that nobody has taken yet, oldest first, are in `replies`."""

    def __init__(self) -> None:
        self.replies: deque[Reply] = deque()
        self._rest = b""  # of a line that has not ended
        self._lines: list[str] = []  # of a reply that goes on

    @property
    def in_step(self) -> bool:
        """Nothing was said that nobody has heard."""
        return not self.replies and not self._rest and not self._lines

    def feed(self, data: bytes) -> str | None:
        """Read on. Returns what is wrong, after which nothing that this relay says can be trusted; None if nothing is."""
        data = self._rest + data
        if len(data) + sum(map(len, self._lines)) > _MOST_OCTETS:
            return "the relay's reply does not end"
        *lines, self._rest = data.split(b"\n")
        for line in lines:
            if not self._take(line.rstrip(b"\r").decode("utf-8", "replace")):
                return "the relay said something that is no reply"
        return "the relay talks without being asked" if len(self.replies) > _MOST_AHEAD else None

    def _take(self, line: str) -> bool:
        """Read one line; False if it is none of a reply's (RFC 5321 4.2.1)."""
        if not _LINE.match(line) or (self._lines and not self._lines[0].startswith(line[:3])):
            return False
        self._lines.append(line)
        if line[3:4] != "-":
            self.replies.append(Reply(int(line[:3]), " ".join(one[4:] for one in self._lines)))
            self._lines.clear()
        return True
