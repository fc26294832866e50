"""What tests use of a throw-away S3 server, whichever there is."""

import abc
import time
import urllib.request
from datetime import timedelta
from types import TracebackType
from typing import Self

KEY_ID = "AKIDTEST"
SECRET = "SECRETTEST"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"}


class BucketServer(abc.ABC):
    """One server; as a context manager it is stopped and all it holds removed at the end."""

    port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def endpoint(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self.port}"

    @abc.abstractmethod
    def start(self) -> None:
        """Starts it and waits until it answers; RuntimeError where it does not."""

    @abc.abstractmethod
    def close(self) -> None:
        """Stops it at once, for good; what it held is removed."""

    def make_bucket(self, name: str) -> None:
        """A new bucket; harmless where it is there."""
        import obstore
        from obstore.store import S3Store

        store = S3Store(
            name,
            endpoint=self.endpoint,
            region="us-east-1",
            access_key_id=KEY_ID,
            secret_access_key=SECRET,
            virtual_hosted_style_request=False,
            client_options={"allow_http": True},
        )
        signed = obstore.sign(store, "PUT", "", timedelta(minutes=1))
        for _ in range(20):  # Ceph is still making the pools of the first one
            try:
                urllib.request.urlopen(urllib.request.Request(signed, method="PUT"), timeout=30).close()
                return
            except OSError:
                time.sleep(0.5)
        raise RuntimeError(f"no bucket {name}")
