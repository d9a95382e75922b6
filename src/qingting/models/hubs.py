"""The two hubs as one: what a repository holds at a revision, and where its bytes are.

Hugging Face: ``/api/models/ID/revision/REV?blobs=true`` lists files with sizes, the sha256 of
large files and the git digest of small ones; ``/ID/resolve/COMMIT/PATH`` gives the bytes.
ModelScope: ``/api/v1/models/ID/repo/files`` lists files with sizes and sha256;
``/api/v1/models/ID/repo?Revision=REV&FilePath=PATH`` gives the bytes. Standard library only: two
GET requests do not earn a dependency.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any, Literal, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from qingting.core.errors import ModelError

HubName = Literal["hf", "ms"]

HUB_TITLES: Mapping[HubName, str] = {"hf": "Hugging Face", "ms": "ModelScope"}
_DEFAULT_ENDPOINTS: Mapping[HubName, str] = {
    "hf": "https://huggingface.co",
    "ms": "https://www.modelscope.cn",
}
_ENDPOINT_VARIABLES: Mapping[HubName, str] = {"hf": "HF_ENDPOINT", "ms": "MODELSCOPE_ENDPOINT"}
_TOKEN_VARIABLES: Mapping[HubName, str] = {"hf": "HF_TOKEN", "ms": "MODELSCOPE_API_TOKEN"}
_DEFAULT_REVISIONS: Mapping[HubName, str] = {"hf": "main", "ms": "master"}
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_MAX_LISTING_BYTES = 64 * 2**20

NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, socket.timeout, OSError)
"""What a connection can fail with; ``HTTPError`` is among them and means an answer."""


class HubFile(NamedTuple):
    """One file of a repository.

    ``digest`` is ``sha256:HEX``, or ``git:HEX`` (sha1 over ``blob SIZE\\0`` and the bytes), or
    None where the hub states none.
    """

    path: str
    n_bytes: int
    digest: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at one revision: ``commit`` pins it (a name where the hub has no commits)."""

    identity: str
    commit: str
    files: tuple[HubFile, ...]


class UnreachableError(ModelError):
    """The hub did not answer; the message says what to do without a network."""


@dataclass(frozen=True, slots=True)
class Hub:
    """One hub: endpoint, how it is asked, and how long one answer may take.

    ``token`` is sent to the endpoint's own host only, never to where it redirects.
    """

    name: HubName
    endpoint: str
    token: str | None = None
    timeout_s: float = 30.0

    @classmethod
    def from_environment(cls, name: HubName, environment: Mapping[str, str] = os.environ) -> Hub:
        """Return the hub as ``HF_ENDPOINT``, ``HF_TOKEN`` and their ModelScope twins say."""
        endpoint = environment.get(_ENDPOINT_VARIABLES[name]) or _DEFAULT_ENDPOINTS[name]
        if "://" not in endpoint:
            endpoint = f"https://{endpoint}"
        return cls(name, endpoint.rstrip("/"), environment.get(_TOKEN_VARIABLES[name]) or None)

    @property
    def title(self) -> str:
        """Return the hub's name as people write it."""
        return HUB_TITLES[self.name]

    def list_files(self, identity: str, revision: str | None) -> Listing:
        """Return what a repository holds at a revision (the default branch where None).

        Raises:
            UnreachableError: no answer.
            ModelError: no such model or revision, no access to it, or an answer of another form.
        """
        wanted = revision or _DEFAULT_REVISIONS[self.name]
        if self.name == "hf":
            url = (
                f"{self.endpoint}/api/models/{quote(identity)}/revision/"
                f"{quote(wanted, safe='')}?blobs=true"
            )
            read = _hugging_face_listing
        else:
            query = urlencode({"Revision": wanted, "Recursive": "True"})
            url = f"{self.endpoint}/api/v1/models/{quote(identity)}/repo/files?{query}"
            read = _modelscope_listing
        try:
            with self.open(url) as answer:
                content = json.loads(answer.read(_MAX_LISTING_BYTES))
            return read(identity, wanted, content)
        except urllib.error.HTTPError as error:
            raise self._refused(identity, wanted, error) from None
        except (KeyError, TypeError, ValueError, json.JSONDecodeError) as error:
            if isinstance(error, ModelError):
                raise
            raise ModelError(
                f"{self.endpoint} answered something else than a list of files for {identity} "
                f"({type(error).__name__}: {error}); is this a {self.title} endpoint?"
            ) from None
        except NETWORK_ERRORS as error:
            raise UnreachableError(f"{self.endpoint} cannot be reached ({reason(error)})") from None

    def file_url(self, listing: Listing, path: str) -> str:
        """Return where a file's bytes are."""
        if self.name == "hf":
            return (
                f"{self.endpoint}/{quote(listing.identity)}/resolve/"
                f"{quote(listing.commit, safe='')}/{quote(path)}"
            )
        query = urlencode({"Revision": listing.commit, "FilePath": path})
        return f"{self.endpoint}/api/v1/models/{quote(listing.identity)}/repo?{query}"

    def open(self, url: str, *, start: int = 0) -> IO[bytes]:
        """Return the answer to a GET, from byte ``start`` on; errors are urllib's own."""
        request = urllib.request.Request(url, headers={"User-Agent": "qingting"})
        if start:
            request.add_header("Range", f"bytes={start}-")
        if self.token:
            # Unredirected: a redirect to a content network must not carry the token there.
            request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        answer: IO[bytes] = urllib.request.urlopen(request, timeout=self.timeout_s)
        return answer

    def _refused(self, identity: str, revision: str, error: urllib.error.HTTPError) -> ModelError:
        variable = _TOKEN_VARIABLES[self.name]
        page = f"{self.endpoint}/{identity}"
        if error.code in (401, 403):
            return ModelError(
                f"{self.title} gives no access to {identity} at {revision!r} ({error.code}): it "
                f"does not exist, or its licence must be accepted at {page} first; then put your "
                f"access token into {variable}"
            )
        if error.code == 404:
            return ModelError(
                f"{self.title} has no model {identity} at revision {revision!r}; check the name "
                f"and the revision at {page}"
            )
        return ModelError(
            f"{urlsplit(self.endpoint).netloc} answered {error.code} {error.reason} for {identity}; "
            "try again later"
        )


def reason(error: BaseException) -> str:
    """Return why a connection failed, in a phrase."""
    inner = getattr(error, "reason", error)
    if isinstance(inner, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(inner, TimeoutError):
        return "no answer in time"
    return str(inner) or type(error).__name__


def _hugging_face_listing(identity: str, revision: str, content: Any) -> Listing:
    files = []
    for sibling in content["siblings"]:
        large = sibling.get("lfs")
        digest = f"sha256:{large['sha256']}" if large else f"git:{sibling['blobId']}"
        files.append(HubFile(_safe(sibling["rfilename"]), int(sibling["size"]), digest))
    commit = content["sha"]
    if not _COMMIT.match(commit):
        raise ValueError("no commit")
    return Listing(identity, commit, tuple(files))


def _modelscope_listing(identity: str, revision: str, content: Any) -> Listing:
    if content.get("Code") != 200:
        raise ModelError(
            f"ModelScope has no model {identity} at revision {revision!r} "
            f"({content.get('Message') or content.get('Code')})"
        )
    files = tuple(
        HubFile(
            _safe(entry["Path"]),
            int(entry["Size"]),
            f"sha256:{entry['Sha256']}" if entry.get("Sha256") else None,
        )
        for entry in content["Data"]["Files"]
        if entry["Type"] != "tree"
    )
    return Listing(identity, revision, files)


def _safe(path: str) -> str:
    """Return a repository's path; one that would leave the folder is refused."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
        raise ModelError(f"the repository holds a file named {path!r}, which is no safe path")
    return path
