"""Datasets on S3 (a `moto` server on loopback) and on a web server: read, cached, changed, refused."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import backtest
from backtest.cli import main
from backtest.core.errors import UserError
from backtest.data import remote, remote_cache
from backtest.data.catalog import Catalog
from backtest.data.check import check
from backtest.data.sample import write_sample
from tests.unit.feed_datasets import candles, flat

boto3 = pytest.importorskip("boto3")
moto = pytest.importorskip("moto.server")
pytest.importorskip("s3fs")

SYMBOLS = ("BTC-USD", "ETH-USD")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("remote") / "sample", days=4, symbols=SYMBOLS, interval="15m")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    started = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    yield f"http://{host}:{port}"
    started.stop()


@pytest.fixture
def s3(server: str, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """A client of a server with the sample in bucket `lake`; the cache is empty."""
    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        remote_cache.FOLDER_VARIABLE: str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(remote_cache.SIZE_VARIABLE, raising=False)
    client = boto3.client("s3")
    client.create_bucket(Bucket="lake")
    for file in sorted(sample.rglob("*")):
        if file.is_file():
            client.upload_file(str(file), "lake", f"crypto/sample/{file.relative_to(sample)}")
    yield client
    for held in client.list_objects_v2(Bucket="lake").get("Contents", []):
        client.delete_object(Bucket="lake", Key=held["Key"])
    client.delete_bucket(Bucket="lake")


PLACE = "s3://lake/crypto/sample"
BTC = "candles/symbol=BTC-USD/part.parquet"


def blobs(root: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in (root / "cache" / "files").iterdir()}


def test_a_run_on_s3_gives_the_digest_of_the_files(s3: object, sample: Path, tmp_path: Path) -> None:
    done = backtest.run("sma_cross", PLACE, out=tmp_path / "report")
    assert done.digest == backtest.run("sma_cross", sample).digest
    assert done.summary["data"]["fingerprint"] == backtest.run("sma_cross", sample).summary["data"]["fingerprint"]
    assert f'data = "{PLACE}"' in (tmp_path / "report" / "run.toml").read_text()
    catalog = Catalog.open(f"{PLACE}/")
    assert (catalog.name, catalog.address, catalog.symbols) == ("sample", f"{PLACE}/", SYMBOLS)
    assert check(PLACE).errors == 0
    assert backtest.verify(tmp_path / "report").ok
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


def test_files_are_downloaded_once_and_again_when_they_change(s3: object, tmp_path: Path) -> None:
    first = remote.local(PLACE)
    before = blobs(tmp_path)
    assert len(before) == 7  # three series of two symbols, and dataset.toml
    assert remote.local(PLACE) == first
    assert blobs(tmp_path) == before
    other = candles(tmp_path / "other", "BTC-USD", flat(1, 2, 3))
    s3.upload_file(str(other), "lake", f"crypto/sample/{BTC}")
    second = remote.local(PLACE)
    assert second != first
    assert (second / BTC).read_bytes() == other.read_bytes()
    assert len(set(blobs(tmp_path)) - set(before)) == 1
    assert (first / BTC).read_bytes() != other.read_bytes()  # who reads the older version goes on with it
    s3.delete_object(Bucket="lake", Key=f"crypto/sample/{BTC}")
    assert not (remote.local(PLACE) / BTC).exists()


def test_half_a_download_is_never_used(s3: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = shutil.copyfileobj

    def cut(source: object, target: object, length: int = 0) -> None:
        target.write(source.read(100))

    monkeypatch.setattr(shutil, "copyfileobj", cut)
    with pytest.raises(UserError, match=r"ended after 100 of [\d,]+ bytes; run the command again"):
        Catalog.open(PLACE)
    assert blobs(tmp_path) == {}

    def killed(source: object, target: object, length: int = 0) -> None:
        target.write(source.read(100))
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copyfileobj", killed)
    with pytest.raises(KeyboardInterrupt):
        Catalog.open(PLACE)
    monkeypatch.setattr(shutil, "copyfileobj", copied)
    assert Catalog.open(PLACE).symbols == SYMBOLS
    assert not list((tmp_path / "cache").rglob(".*"))


def test_the_cache_is_bounded(s3: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = remote.local(PLACE)
    other = candles(tmp_path / "other", "BTC-USD", flat(1, 2, 3))
    s3.upload_file(str(other), "lake", "crypto/small/candles/symbol=X/part.parquet")
    monkeypatch.setenv(remote_cache.SIZE_VARIABLE, "1KB")
    small = remote.local("s3://lake/crypto/small")
    assert small.is_dir()  # what was asked for stays
    assert not old.exists()
    assert len(blobs(tmp_path)) == 1
    monkeypatch.setenv(remote_cache.SIZE_VARIABLE, "much")
    with pytest.raises(UserError, match="BACKTEST_DATA_CACHE_SIZE: 'much' is not a size"):
        remote.local(PLACE)


def test_a_single_file_and_every_command(s3: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Catalog.open(f"{PLACE}/{BTC}").symbols == ("part",)
    for arguments in (
        ("info", PLACE, "--json"),
        ("check", PLACE),
        ("slice", PLACE, str(tmp_path / "cut"), "--end", "2024-01-02"),
        ("export", PLACE, str(tmp_path / "csv")),
        ("repair", PLACE, "--out", str(tmp_path / "repaired")),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["data", *arguments])
        assert ended.value.code == 0, (arguments, capsys.readouterr())
    assert Catalog.open(tmp_path / "cut").symbols == SYMBOLS


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("s3://nothing/here", "no such bucket, folder or file"),
        ("s3://lake/nothing", "no such bucket, folder or file"),
        ("s3://lake/crypto/sample/none.parquet", "no such bucket, folder or file"),
        ("s3://lake/empty", "it holds no *.parquet file"),
        ("s3://", "the address names no bucket or server"),
        ("ftp://lake/x", "unknown kind of address ftp://; use s3://"),
        ("https://me:secret@host/x", "https://…: an address may not hold credentials"),
        ("http://127.0.0.1:9/x", "cannot be read"),
    ],
)
def test_what_is_wrong_is_one_line(s3: object, capsys: pytest.CaptureFixture[str], address: str, said: str) -> None:
    s3.put_object(Bucket="lake", Key="empty/readme.md", Body=b"x")
    with pytest.raises(SystemExit) as ended:
        main(["data", "info", address])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert said in told
    assert "secret" not in told


def test_no_permission_and_no_extra(s3: object, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError("Access Denied")

    system = type(fsspec.filesystem("s3"))
    with monkeypatch.context() as patched:
        patched.setattr(system, "exists", forbidden)
        with pytest.raises(UserError, match="no permission to read it; check the credentials"):
            remote.local(PLACE)

    def missing(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3", name="s3fs")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    with pytest.raises(UserError, match=r"s3:// needs the package s3fs; install it with pip .*perp-backtest\[remote\]"):
        remote.local(PLACE)


@pytest.fixture
def web(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """A web server with the sample at /sample, and its folder."""
    monkeypatch.setenv(remote_cache.FOLDER_VARIABLE, str(tmp_path / "cache"))
    root = tmp_path / "www"
    shutil.copytree(sample, root / "sample")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(root)))
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}/sample", root / "sample"
    made.shutdown()
    thread.join()
    made.server_close()


def test_a_web_server_needs_a_list_of_files(web: tuple[str, Path], sample: Path, tmp_path: Path) -> None:
    address, folder = web
    with pytest.raises(UserError, match=r"needs files\.txt, a list of its files; make it with: find"):
        Catalog.open(address)
    names = sorted(f"./{p.relative_to(folder)}" for p in folder.rglob("*") if p.is_file())
    (folder / "files.txt").write_text("\n".join(names))
    assert Catalog.open(address).markets == Catalog.open(sample).markets
    before = blobs(tmp_path)
    Catalog.open(address)
    assert blobs(tmp_path) == before
    assert Catalog.open(f"{address}/{BTC}").market("part").rows == 4 * 96
    (folder / "files.txt").write_text("../secret.parquet\n")
    with pytest.raises(UserError, match="not inside of it"):
        Catalog.open(address)
    (folder / "files.txt").write_text("candles/symbol=X/none.parquet\n")
    with pytest.raises(UserError, match="no such bucket, folder or file"):
        Catalog.open(address)
