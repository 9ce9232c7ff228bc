"""Ways out of a sandbox: each a program that goes on to its end only if it got out.

`w` is what the world outside is: paths, processes and sockets of the test. A `False` beside a
program means that it is not run without a sandbox, to see that it does what it says.
"""

from __future__ import annotations

BEGIN = """
import ctypes, fcntl, json, os, resource, signal, socket, struct, sys, time
w = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(number, *arguments):
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def read(path):
    with open(path, "rb") as file:
        assert file.read(64)
def connect(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as one:
        one.settimeout(1)
        one.connect(address)
        one.send(b"hello")
        assert one.recv(64)
"""
END = '\nprint("ESCAPED")\n'

FILES = {
    "read a secret": ("read(w['secret'])", True),
    "read the passwords": ("read('/etc/shadow')", True),
    "list the folder of secrets": ("assert 'secret' in os.listdir(w['folder'])", True),
    "read by a link": (
        "os.symlink(w['secret'], w['write'] + '/link'); read(w['write'] + '/link')",
        True,
    ),
    "read by a second name": (
        "os.link(w['secret'], w['write'] + '/twin'); read(w['write'] + '/twin')",
        True,
    ),
    "read below its own root": ("read('/proc/self/root' + w['secret'])", True),
    "read below another's root": ("read(f\"/proc/{w['victim']}/root\" + w['secret'])", True),
    "read by climbing": ("read(w['write'] + '/../secret')", True),
    "read the disk": ("read(w['disk'])", False),
    "read memory": ("read('/dev/mem'); read('/proc/kcore')", False),
    "open by a handle": ("call(304, -100, b'\\0' * 64, 0)", False),
    "write outside": ("open(w['elsewhere'] + '/new', 'w').close()", True),
    "write to passwd": ("open('/etc/passwd', 'a').close()", True),
    "write among the programs": (
        "open('/usr/local/lib/loom-escape', 'x').close(); os.unlink('/usr/local/lib/loom-escape')",
        True,
    ),
    "write where only reading is granted": ("open(w['read'] + '/new', 'w').close()", True),
    "append where only reading is granted": ("open(w['read'] + '/note', 'a').close()", True),
    "move out of what is read-only": ("os.rename(w['read'] + '/note', w['write'] + '/x')", True),
    "delete a secret": ("os.unlink(w['victim file'])", True),
    "truncate a secret": ("os.truncate(w['secret'], 3)", False),
    "change a mode": ("os.chmod(w['secret'], 0o666)", True),
    "change times": ("os.utime(w['secret'], (1, 1))", True),
    "set an attribute": ("os.setxattr(w['secret'], 'user.loom', b'x')", False),
    "make a program that runs as its owner": (
        "open(w['write'] + '/x', 'w').close(); os.chmod(w['write'] + '/x', 0o4755)",
        True,
    ),
    "make one by its descriptor": (
        "os.fchmod(os.open(w['write'] + '/y', os.O_CREAT | os.O_WRONLY, 0o700), 0o6755)",
        True,
    ),
    "make one at once": ("os.open(w['write'] + '/z', os.O_CREAT | os.O_WRONLY, 0o4755)", True),
    "make one with a temporary file": (
        "os.open(w['write'], os.O_TMPFILE | os.O_WRONLY, 0o4755)",
        True,
    ),
    "make a device": ("os.mknod(w['write'] + '/d', 0o60666, os.makedev(254, 0))", False),
}
PROCESSES = {
    "see another's variables": ("read(f\"/proc/{w['victim']}/environ\")", True),
    "see another's command": ("read(f\"/proc/{w['victim']}/cmdline\")", True),
    "see the starter's variables": ("assert os.environ['LOOM_TEST_CANARY']", True),
    "see the variables of what came before": (
        "assert b'LOOM_TEST_CANARY' in open(f'/proc/{os.getppid()}/environ', 'rb').read()",
        False,
    ),
    "signal another": ("os.kill(w['victim'], 0)", True),
    "kill another": ("os.kill(w['victim'], signal.SIGTERM)", False),
    "kill the starter": ("os.kill(w['starter'], signal.SIGTERM)", False),
    "trace another": ("call(101, 16, w['victim'], 0, 0)", False),
    "trace itself": ("call(101, 0, 0, 0, 0)", True),
    "read another's memory": ("call(310, w['victim'], b'\\0' * 16, 1, b'\\0' * 16, 1, 0)", False),
    "take another's descriptors": ("call(438, call(434, w['victim'], 0), 1, 0)", False),
    "become root": ("os.setresuid(0, 0, 0); read('/etc/shadow')", False),
    "type for the owner": ("fcntl.ioctl(0, 0x5412, b'x')", False),
}
NETWORK = {
    "reach a server": ("connect(socket.AF_INET, ('127.0.0.1', w['port']))", True),
    "reach a server by datagrams": (
        "connect(socket.AF_INET, ('127.0.0.1', w['datagrams']), socket.SOCK_DGRAM)",
        True,
    ),
    "reach a socket by its path": ("connect(socket.AF_UNIX, w['socket'])", True),
    "reach a socket by its name": ("connect(socket.AF_UNIX, '\\0' + w['abstract'])", True),
    "reach the host of a machine": ("socket.socket(40, socket.SOCK_STREAM)", False),
    "listen to the wire": ("socket.socket(17, socket.SOCK_RAW, 3)", False),
    "use the kernel's ciphers": ("socket.socket(38, socket.SOCK_SEQPACKET)", False),
}
KERNEL = {
    "mount": ("call(165, b'none', b'/tmp', b'tmpfs', 0, 0)", False),
    "mount in the new way": ("call(430, b'tmpfs', 0)", False),
    "unmount": ("call(166, b'/proc', 2)", False),
    "change its root": ("call(161, b'/usr')", False),
    "make a user namespace": ("call(272, 0x10000000)", True),
    "make a network namespace": ("call(272, 0x40000000)", False),
    "start in a user namespace": ("call(56, 0x10000000 | 17, 0, 0, 0, 0) or os._exit(0)", True),
    "start in one in the new way": (
        "call(435, struct.pack('8Q', 0x10000000, 0, 0, 0, 17, 0, 0, 0), 64) or os._exit(0)",
        True,
    ),
    "join a namespace": ("call(308, os.open('/proc/1/ns/mnt', 0), 0)", False),
    "use io_uring": ("call(425, 8, b'\\0' * 120)", True),
    "read a keyring": ("call(250, 0, -5, 1)", True),
    "add a key": ("call(248, b'user', b'loom', b'x', 1, -2)", True),
    "ask for a key": ("call(249, b'user', b'loom-test', 0, 0)", False),
    "load a program into the kernel": ("call(321, 0, b'\\0' * 72, 72)", False),
    "count events": ("call(298, struct.pack('II', 1, 112) + b'\\0' * 112, 0, -1, -1, 0)", False),
    "handle faults": ("call(323, 0)", False),
    "name the machine": ("call(170, b'x', 1)", False),
    "set the clock": ("call(164, struct.pack('qq', 0, 0), 0)", False),
    "read the kernel's log": ("call(103, 3, b'\\0' * 64, 64)", False),
    "change the kernel": ("open('/proc/sys/kernel/core_pattern', 'r+')", False),
    "ask the kernel for a favour": ("open('/proc/sysrq-trigger', 'w')", False),
    "look at the kernel's pages": ("read('/proc/kpageflags')", False),
    "give the kernel an interrupt": ("open('/proc/irq/default_smp_affinity', 'r+')", False),
}
LIMITS = {
    "take 600 MB": ("len(bytearray(600 << 20))", True),
    "map 600 MB": (
        "import mmap; one = mmap.mmap(-1, 600 << 20); one[:: 4096] = b'x' * (600 << 20 >> 12)",
        False,
    ),
    "fill the memory that looks like a disk": (
        (
            "[open(f'{d}/{n}', 'wb').write(b'x' * (8 << 20)) for n in range(20)"
            " for d in ('/dev/shm', '/tmp')]"
        ),
        False,
    ),
    "fill its root": (
        "[open(f'{d}fill', 'wb').write(b'x' * 99) for d in ('/', '/dev/', '/etc/')]",
        False,
    ),
    "write a long file": (
        (
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "open(w['write'] + '/long', 'wb').write(b'x' * (20 << 20))"
        ),
        True,
    ),
    "open many files": ("keep = [open('/dev/null') for _ in range(400)]", True),
    "raise its limits": (
        (
            "resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)\n"
            "len(bytearray(600 << 20))"
        ),
        True,
    ),
    "start many processes": (
        (
            "pids = []\n"
            "try:\n"
            "    for _ in range(300):\n"
            "        pid = os.fork()\n"
            "        if not pid:\n"
            "            signal.pause()\n"
            "        pids.append(pid)\n"
            "finally:\n"
            "    for pid in pids:\n"
            "        os.kill(pid, signal.SIGKILL)"
        ),
        True,
    ),
}
ATTEMPTS = FILES | PROCESSES | NETWORK | KERNEL | LIMITS
