"""Every packet that leaves a process of this machine, where the test may see them (Linux, as root)."""

import socket
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager

ETH_P_IP = 0x0800
BUFFER_BYTES = 64 * 1024 * 1024
LOOK_EVERY_S = 0.2
TCP = 6
UDP = 17
UDP_HEADER = 8


class Capture:
    """What was sent over TCP and UDP, by sender's and receiver's port, in the order of sending.

    ``works`` is false where nothing can be captured.
    """

    def __init__(self) -> None:
        self.works = True
        self.streams: dict[tuple[int, int], bytearray] = {}

    def note(self, packet: bytes) -> None:
        """Take one IPv4 packet."""
        header = (packet[0] & 0x0F) * 4
        total = int.from_bytes(packet[2:4], "big") or len(packet)
        if packet[9] not in {TCP, UDP}:
            return
        ports = struct.unpack("!HH", packet[header : header + 4])
        length = (packet[header + 12] >> 4) * 4 if packet[9] == TCP else UDP_HEADER
        payload = packet[header + length : total]
        if payload:
            self.streams.setdefault((ports[0], ports[1]), bytearray()).extend(payload)


@contextmanager
def capture_loopback() -> Generator[Capture]:
    """Capture what is sent on loopback for as long as this is held, where that is allowed."""
    capture, stopped = Capture(), threading.Event()
    try:
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
    except (AttributeError, PermissionError):
        capture.works = False
        yield capture
        return
    with listener:
        listener.bind(("lo", ETH_P_IP))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        listener.settimeout(LOOK_EVERY_S)
        reader = threading.Thread(target=_read, args=(listener, capture, stopped))
        reader.start()
        try:
            yield capture
        finally:
            stopped.set()
            reader.join()


def _read(listener: socket.socket, capture: Capture, stopped: threading.Event) -> None:
    while True:
        try:
            packet, address = listener.recvfrom(0x1FFFF)
        except TimeoutError:
            if stopped.is_set():
                return
            continue
        # Where loopback shows a packet twice, as it is sent and as it comes, it counts as it comes.
        if address[2] == socket.PACKET_HOST:
            capture.note(packet)
