"""Datasets that lie elsewhere: `s3://`, `gs://` and `https://` addresses, read through fsspec into a local cache.

A dataset is listed each time it is opened. A file is downloaded once for each version of it, which its ETag tells, else
its size and time of change; what a run reads is a folder of the versions that were listed. A download takes its place
in the cache only when it is whole.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias

from backtest.core import disk
from backtest.core.errors import UserError
from backtest.data import remote_cache
from backtest.data.shipped import located

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

Address: TypeAlias = "str | Path"
SCHEMES = ("s3", "gs", "gcs", "https", "http")
INDEX = "files.txt"
"""Of a folder on a web server, which cannot be listed: a path a line."""
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_WANTED = (".parquet", ".toml")
_THREADS = 8
_CONNECT_S, _READ_S, _ATTEMPTS = 10, 60, 3
_OURS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""Errors that only the local disk has."""
_CONNECTION = "check the address and the connection"
_GCS = "install it, or read the bucket by s3://, see docs/how-to/remote-data.md"
_EXTRA = "install it with pip install 'perp-backtest[remote]'"


@dataclass(frozen=True)
class Listed:
    """One file of a remote dataset."""

    name: str
    """Path inside of the dataset."""
    path: str
    """Path in its file system."""
    size: int | None
    version: str
    """Changes whenever the file does; empty: its server does not say, and it is downloaded each time."""


def is_remote(data: object) -> bool:
    """Whether ``data`` is an address rather than a path."""
    return isinstance(data, str) and _ADDRESS.fullmatch(data) is not None


def place_of(data: Address) -> Address:
    """Return an address as text, anything else as a path."""
    return data if is_remote(data) else Path(data)


def is_there(data: Address) -> bool:
    """Whether a path leads to something; of an address that is only known when it is opened."""
    return is_remote(data) or located(Path(data)).exists()


def local(address: str) -> Path:
    """Return the folder, or the single file, in which the dataset at ``address`` lies now, downloading what is new.

    Raises UserError where the address is none, an extra package is missing, or the dataset cannot be listed or read.
    """
    scheme = _checked(address)
    with _reaching(address, scheme):
        system = _system(scheme)
        files = _listed(system, scheme, address)
    root = remote_cache.prepare()
    try:
        with _reaching(address, scheme), ThreadPoolExecutor(_THREADS, "download") as pool:
            blobs = list(pool.map(lambda file: _blob(system, address, file, root), files))
        view = _view(root, address, files, blobs)
        remote_cache.trim(root, view)
    except OSError as error:
        thing = f"the cache of remote data cannot be written ({error.strerror or error})"
        raise UserError(thing, str(root), f"name another folder in {remote_cache.FOLDER_VARIABLE}") from error
    return view / files[0].name if address.endswith(".parquet") else view


def _checked(address: str) -> str:
    match = _ADDRESS.fullmatch(address)
    scheme = match[1].lower() if match else ""
    if scheme not in SCHEMES:
        raise UserError(f"unknown kind of address {scheme}://", address, f"use {', '.join(s + '://' for s in SCHEMES)}")
    rest = match[2] if match else ""
    if "@" in rest.partition("/")[0] or "?" in rest or "#" in rest:
        # It would stand in run.toml and in every report.
        thing = "an address may not hold credentials or a query"
        raise UserError(thing, f"{scheme}://…", "give credentials by the environment, see docs/how-to/remote-data.md")
    if not rest.strip("/"):
        raise UserError("the address names no bucket or server", address, "write it like s3://bucket/path")
    return scheme


@contextmanager
def _reaching(address: str, scheme: str) -> Iterator[None]:
    """Whatever goes wrong while files are listed or read is a UserError of one line."""
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        if error.errno in _OURS or str(error.filename or "").startswith(str(remote_cache.folder())):
            raise  # the cache's, not the server's
        if isinstance(error, FileNotFoundError):
            raise UserError("no such bucket, folder or file", address, "check the address") from None
        if isinstance(error, PermissionError):
            raise _forbidden(address) from None
        raise UserError(f"cannot be read ({_said(error)})", address, _CONNECTION) from None
    except ImportError as error:
        remedy = _GCS if scheme in ("gs", "gcs") else _EXTRA
        raise UserError(f"{scheme}:// needs the package {_package(error)}", address, remedy) from None
    except Exception as error:  # noqa: BLE001  each file system raises the exceptions of its libraries
        if type(error).__name__ == "NoCredentialsError" or getattr(error, "status", None) in (401, 403):
            raise _forbidden(address) from None
        raise UserError(f"cannot be read ({_said(error)})", address, _CONNECTION) from None


def _package(error: ImportError) -> str:
    """What is missing: fsspec wraps the error of the package that it asks for."""
    cause = error.__cause__
    return (error.name or (cause.name if isinstance(cause, ImportError) else None) or "fsspec").partition(".")[0]


def _said(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _forbidden(address: str) -> UserError:
    return UserError("no permission to read it", address, "check the credentials in the environment")


def _system(scheme: str) -> AbstractFileSystem:
    """The file system of a kind of address. Listings are never taken from a cache."""
    import fsspec

    more: dict[str, Any] = {}
    if scheme == "s3":
        waits = {"connect_timeout": _CONNECT_S, "read_timeout": _READ_S, "retries": {"max_attempts": _ATTEMPTS}}
        more = {"config_kwargs": waits}
        if os.environ.get("AWS_NO_SIGN_REQUEST"):
            more["anon"] = True
    elif scheme.startswith("http"):
        from aiohttp import ClientTimeout

        more = {"client_kwargs": {"timeout": ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_READ_S)}}
    system: AbstractFileSystem = fsspec.filesystem(scheme, use_listings_cache=False, skip_instance_cache=True, **more)
    return system


def _listed(system: AbstractFileSystem, scheme: str, address: str) -> list[Listed]:
    """The files of a dataset, sorted by name."""
    web = scheme.startswith("http")
    root = address if web else str(system._strip_protocol(address))
    root = root.rstrip("/")
    if address.endswith(".parquet"):
        return [_file(PurePosixPath(root).name, root, system.info(root))]
    if web:
        found = {name: f"{root}/{name}" for name in _index(system, root)}
        for name in found:
            _check_name(name, address)
        infos = {name: system.info(path) for name, path in found.items()}
        files = [_file(name, found[name], infos[name]) for name in found]
    else:
        if not system.exists(root):
            raise FileNotFoundError(root)
        held = system.find(root, detail=True)
        files = [_file(path.removeprefix(f"{root}/"), path, info) for path, info in held.items()]
    files = sorted((file for file in files if file.name.endswith(_WANTED)), key=lambda file: file.name)
    if not any(file.name.endswith(".parquet") for file in files):
        raise UserError("it holds no *.parquet file", address, "name the folder of a dataset")
    for file in files:
        _check_name(file.name, address)
    return files


def _index(system: AbstractFileSystem, root: str) -> list[str]:
    """The names in the index of a folder on a web server."""
    try:
        text = system.cat_file(f"{root}/{INDEX}").decode("utf-8")
    except FileNotFoundError:
        thing = f"a folder on a web server needs {INDEX}, a list of its files"
        raise UserError(thing, root, f"make it with: find . -name '*.parquet' -o -name '*.toml' > {INDEX}") from None
    except UnicodeDecodeError:
        raise UserError("is not text", f"{root}/{INDEX}", "write one path a line") from None
    names = [line.strip().removeprefix("./") for line in text.splitlines()]
    return list(dict.fromkeys(name for name in names if name and name.endswith(_WANTED)))


def _check_name(name: str, address: str) -> None:
    """UserError for a name that would lie outside of the dataset."""
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or ":" in parts[0]:
        raise UserError(f"lists the file {name!r}, which is not inside of it", address, "take it out of the list")


def _file(name: str, path: str, info: dict[str, Any]) -> Listed:
    if info.get("type") == "directory":
        raise FileNotFoundError(path)
    size = info.get("size")
    told = info.get("ETag") or info.get("etag") or info.get("generation")
    changed = info.get("LastModified") or info.get("Last-Modified") or info.get("mtime") or info.get("updated")
    version = f"{told or ''} {size} {'' if told else changed}" if told or changed else ""
    return Listed(name, path, None if size is None else int(size), version)


def _blob(system: AbstractFileSystem, address: str, file: Listed, root: Path) -> Path:
    """One version of one file in the cache."""
    place = remote_cache.blob(root, f"{address}\n{file.path}\n{file.version}")
    if file.version and place.is_file() and file.size in (None, place.stat().st_size):
        return place
    with disk.whole_file(place, told=False) as draft:
        with system.open(file.path, "rb", block_size=2**22) as source, draft.open("wb") as target:
            shutil.copyfileobj(source, target, 2**20)
        got = draft.stat().st_size
        if file.size not in (None, got):
            thing = f"{file.name} ended after {got:,} of {file.size:,} bytes"
            raise UserError(thing, address, "run the command again")
    return place


def _view(root: Path, address: str, files: list[Listed], blobs: list[Path]) -> Path:
    """A folder with the listed versions under their names; the same one as long as nothing has changed."""
    shown = []
    for file, blob in zip(files, blobs, strict=True):
        version = file.version or hashlib.sha256(blob.read_bytes()).hexdigest()
        shown.append([file.name, file.path, version])
    told = json.dumps([address, shown])
    # The last part names the dataset in tables and reports.
    name = PurePosixPath(address.rstrip("/")).name
    view = remote_cache.view(root, told) / name
    if address.endswith(".parquet"):
        view = view.parent
    if not all((view / file.name).is_file() for file in files):
        with disk.whole_folder(view, told=False) as draft:
            for file, blob in zip(files, blobs, strict=True):
                target = draft / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(blob, target)
    with suppress(OSError):
        os.utime(remote_cache.view(root, told))  # the one that was used last goes last
    return view


def _link(blob: Path, target: Path) -> None:
    try:
        os.link(blob, target)
    except OSError:  # a file system without hard links
        shutil.copy2(blob, target)
