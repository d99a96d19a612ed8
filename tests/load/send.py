"""Sends made frames from an interface, as fast as it takes them or at a rate: many of them with each call to the kernel (sendmmsg(2)
on a packet socket), past the queueing discipline, from memory that is laid out once.

One call for each packet, as tcpreplay does it, ends at 212,000 packets/s on two processors where a receiver needs one of them.
"""

import ctypes, errno, os, socket, time

SOL_PACKET, PACKET_QDISC_BYPASS = 263, 20
# Frames of one call: enough that the call costs nothing, few enough that a rate is even.
MANY, FEW = 512, 32
# A device that takes nothing for so long is broken.
PATIENCE = 10


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class Header(ctypes.Structure):
    """struct msghdr of sendmsg(2)."""
    _fields_ = [("name", ctypes.c_void_p), ("name_length", ctypes.c_uint32), ("iov", ctypes.c_void_p), ("iov_count", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t), ("flags", ctypes.c_int)]


class Message(ctypes.Structure):
    """struct mmsghdr of sendmmsg(2)."""
    _fields_ = [("header", Header), ("sent", ctypes.c_uint)]


class Frames:
    """Frames that are ready to be sent again and again."""

    def __init__(self, frames):
        self.count, self.libc = len(frames), ctypes.CDLL(None, use_errno=True)
        self.bytes = ctypes.create_string_buffer(b"".join(frames))
        self.pieces, self.messages = (Iovec * self.count)(), (Message * self.count)()
        at, first, step = ctypes.addressof(self.bytes), ctypes.addressof(self.pieces), ctypes.sizeof(Iovec)
        for n, frame in enumerate(frames):
            self.pieces[n].base, self.pieces[n].length = at, len(frame)
            header = self.messages[n].header
            header.iov, header.iov_count = first + n * step, 1
            at += len(frame)

    def send(self, interface, loops, rate=0):
        """Sends all so many times, so many a second if a rate is given. Returns the seconds that it took."""
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as out:
            out.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
            out.bind((interface, 0))
            begun, done = time.monotonic(), 0
            for _ in range(loops):
                at = 0
                while at < self.count:
                    sent = self._some(out.fileno(), at, FEW if rate else MANY)
                    at, done = at + sent, done + sent
                    if rate and (early := begun + done / rate - time.monotonic()) > 0:
                        time.sleep(early)
            return time.monotonic() - begun

    def _some(self, descriptor, at, most):
        """Sends some frames from one on; waits while the device has no room."""
        first, end = ctypes.byref(self.messages, at * ctypes.sizeof(Message)), time.monotonic() + PATIENCE
        while (sent := self.libc.sendmmsg(descriptor, first, min(most, self.count - at), 0)) <= 0:
            error = ctypes.get_errno()
            if error not in (errno.ENOBUFS, errno.EAGAIN, errno.EINTR) or time.monotonic() > end:
                raise OSError(error, os.strerror(error))
            time.sleep(0)
        return sent
