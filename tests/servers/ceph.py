"""A private, throw-away S3 server on the loopback interface: Ceph's object gateway over one store in memory.

It ends when the program that started it ends, however that happens.
"""

import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path

from .buckets import KEY_ID, SECRET, BucketServer
from .ports import free_port

PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "monmaptool", "ceph")
_START_SECONDS = 60.0
_TRIES = 3  # now and then its daemons wait for each other for ever

_CONFIGURATION = """\
[global]
fsid = {fsid}
mon_host = [v1:127.0.0.1:{monitor}]
ms_bind_msgr2 = false
ms_bind_ipv6 = false
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
admin_socket = {folder}/$name.asok
log_file = {folder}/$name.log
run_dir = {folder}
[mon.a]
mon_data = {folder}/mon
[osd.0]
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 2147483648
[client.rgw]
rgw_frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
"""

# The shell holds the other end of a pipe of ours: when we are gone, it ends all of them.
_SCRIPT = """\
exec 3<&0 </dev/null
(cat <&3 >/dev/null; kill -9 0) &
set -e
c="-c ceph.conf"
monmaptool --create --clobber --fsid "$1" --addv a "[v1:127.0.0.1:$2]" monmap
ceph-mon -i a --mkfs --monmap monmap $c
ceph-mon -f -i a $c &
ceph $c osd new "$3"
ceph-osd -i 0 $c --mkfs --osd-uuid "$3"
ceph-osd -f -i 0 $c &
radosgw-admin -n client.rgw $c user create --uid=mail --display-name=mail --access-key="$4" --secret-key="$5"
exec radosgw -f -n client.rgw $c
"""


def missing() -> str | None:
    """Which program is not there; None where all are."""
    for name in PROGRAMS:
        if shutil.which(name, path=_path()) is None:
            return f"{name} is not installed (apt-get install radosgw ceph-mon ceph-osd ceph-base)"
    return None


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


class Ceph(BucketServer):
    """Ceph's object gateway, its monitor and one store."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pr-ceph-"))
        self._keeper: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until it answers; RuntimeError with what it said where it does not."""
        for _ in range(_TRIES):
            if self._started():
                return
            said = (self.folder / "out").read_text(errors="replace")[-2000:]
            self.close()
            self.folder.mkdir()
        raise RuntimeError(f"Ceph did not start:\n{said}")

    def _started(self) -> bool:
        self.port, monitor = free_port(), free_port()
        fsid, disk = str(uuid.uuid4()), str(uuid.uuid4())
        for name in ("mon", "osd"):
            (self.folder / name).mkdir()
        said = {"fsid": fsid, "monitor": monitor, "port": self.port, "folder": self.folder}
        (self.folder / "ceph.conf").write_text(_CONFIGURATION.format(**said))
        with (self.folder / "out").open("ab") as out:
            self._keeper = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT, "sh", fsid, str(monitor), disk, KEY_ID, SECRET],
                cwd=self.folder,
                env={**os.environ, "PATH": _path()},
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while self._keeper.poll() is None and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(self.endpoint, timeout=5):
                    return True
            except OSError:
                time.sleep(0.2)
        return False

    def close(self) -> None:
        """Stops it at once, for good; its folder is removed."""
        if self._keeper is not None:
            assert self._keeper.stdin is not None
            self._keeper.stdin.close()
            self._keeper.wait(timeout=30)
            self._keeper = None
        shutil.rmtree(self.folder, ignore_errors=True)
