"""A real Postfix with a configuration and a queue of its own, sending through a given relay."""

import os
import shutil
import subprocess
import textwrap
import time
from pathlib import Path

import pytest

_SERVICES = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 1 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""

_MAIN = """\
compatibility_level = 3.7
queue_directory = {root}/queue
data_directory = {root}/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
maillog_file_prefixes = {root}
maillog_file = {root}/maillog
myhostname = mx.sender.test
mydomain = sender.test
mydestination =
local_transport = error:local delivery is off
local_recipient_maps =
alias_maps =
alias_database =
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
relayhost = [127.0.0.1]:{relay_port}
smtp_dns_support_level = disabled
smtp_host_lookup = native
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
maximal_queue_lifetime = 6s
bounce_queue_lifetime = 1h
delay_warning_time = 2s
"""


class Postfix:
    """Takes mail on `port`; whatever leaves goes to the relay, bounces where `extra` says."""

    def __init__(self, root: Path, port: int, relay_port: int, extra: str) -> None:
        self.root = root
        self.port = port
        self._etc = root / "etc"
        for folder in ("etc", "queue", "data"):
            (root / folder).mkdir(parents=True)
        for name in ("postfix-files", "dynamicmaps.cf"):
            shutil.copy(f"/etc/postfix/{name}", self._etc / name)
        main = _MAIN.format(root=root, relay_port=relay_port) + textwrap.dedent(extra)
        (self._etc / "main.cf").write_text(main)
        (self._etc / "master.cf").write_text(_SERVICES.format(port=port))
        shutil.chown(root / "data", "postfix")
        for above in (root, *root.parents):  # the daemons run as another user
            if above.stat().st_uid == os.getuid() and above != Path("/"):
                above.chmod(above.stat().st_mode | 0o011)

    def start(self) -> None:
        self._run("start")

    def stop(self) -> None:
        self._run("stop")
        time.sleep(0.1)

    def queued(self) -> int:
        """How many messages wait in its queue."""
        done = subprocess.run(
            ["postqueue", "-c", str(self._etc), "-j"], capture_output=True, check=True
        )
        return len(done.stdout.splitlines())

    def log(self) -> str:
        path = self.root / "maillog"
        return path.read_text() if path.exists() else "Postfix logged nothing"

    def _run(self, verb: str) -> None:
        done = subprocess.run(
            ["postfix", "-c", str(self._etc), verb], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, f"postfix {verb}: {done.stderr}\n{self.log()}"


def require_postfix() -> None:
    """Skips the test where Postfix cannot run, and says what to do about it."""
    if shutil.which("postfix") is None or not Path("/usr/lib/postfix/sbin/smtpd").exists():
        pytest.skip("Postfix is missing: install the Debian package postfix")
    if os.geteuid() != 0:
        pytest.skip("Postfix can be started by root only: run the tests as root for this one")
