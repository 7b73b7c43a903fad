"""Fetch a file once: with progress, resumed where it stopped, checked before it is used."""

import http.client
import os
import urllib.request
from pathlib import Path

from ..system.errors import OutputError, Unavailable
from ..system.files import UNFINISHED, hexdigest, open_partial
from ..system.progress import Progress, no_progress

TIMEOUT = 20  # seconds without a byte

_BLOCK = 1 << 16


def download(url: str, path: Path, digest: str, progress: Progress = no_progress) -> Path:
    """Fetch `url` to `path`, whose digest must be `digest` ("sha256:..." or "md5:...").

    Continues an interrupted download. Raises Unavailable when the server does not answer or sends
    something else, OutputError when the file cannot be written.
    """
    partial = path.with_name(path.name + UNFINISHED)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch(url, partial, progress)
        algorithm, expected = digest.split(":")
        if hexdigest(partial, algorithm) != expected:
            partial.unlink()
            raise Unavailable(f"{url} is not the published file: its {algorithm} differs; try again")
        os.replace(partial, path)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError) as error:
        reason = getattr(error, "reason", None) or error
        raise Unavailable(f"cannot fetch {url}: {reason}") from error
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def _fetch(url: str, partial: Path, progress: Progress) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to send
            return
        raise
    with response, open_partial(partial, keep=response.status == 206) as file:
        done = file.tell()
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        while block := response.read(_BLOCK):
            file.write(block)
            done += len(block)
            progress("download", done, total)
        if total and done < total:
            raise http.client.IncompleteRead(b"", total - done)
