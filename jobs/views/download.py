"""Downloading from a copy of a point: one file as it is, or chosen paths as an archive; streamed, nothing kept on disk.

Which copy serves is RULES V1. A medium is read by this process; a snapshot only by a node that sees its storage, which
streams it here.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from jobs.engine.errors import EngineError, EngineUnsupported, NotInCopy
from jobs.engine.operations.archive import ArchiveFormat, stream
from jobs.engine.operations.archiving.holding import InCopy
from jobs.engine.operations.browse import Browser
from jobs.engine.plan import StoredPath
from jobs.engine.repository.layout import BlobKind
from jobs.engine.repository.tree import NodeKind
from jobs.models import BackupCopy, Snapshot
from jobs.restore_sources import RestoreSource, choose_source, sources_of
from jobs.rules.restore_source import NoSource, SourceKind
from jobs.runner import file_stream
from jobs.services.failures import NodeSilent
from policies import audit
from policies.models import Copy
from policies.resolve import is_dump_stream
from snapcopy_site.lib.roles import operator_required

from . import basket
from .opened import browser_of
from .restore import chosen_copy, point_or_404
from .stored_paths import display, path_of_query, paths_of_form


@operator_required
@require_safe
def download_file(request: HttpRequest, pk: int) -> HttpResponseBase:
    """One regular file, ``path`` of the address, as it is."""
    point = point_or_404(pk, request.user)
    path = path_of_query(request)
    return _send(request, point, [path], None, what=display(path))


@operator_required
@require_POST
def download(request: HttpRequest, pk: int) -> HttpResponseBase:
    """``paths``: what was chosen, else the basket; ``format``: zip, tar or tar.zst."""
    point = point_or_404(pk, request.user)
    paths = paths_of_form(request.POST.getlist("paths")) or basket.contents(request.session, pk)
    if not paths:
        messages.warning(request, "Choose files or folders first.")
        return redirect("browse", pk)
    wanted = request.POST.get("format", "")
    kind = ArchiveFormat(wanted) if wanted in {known.value for known in ArchiveFormat} else ArchiveFormat.ZIP
    what = display(paths[0]) if len(paths) == 1 else f"{len(paths)} files and folders"
    return _send(request, point, paths, kind, what=what)


def _send(
    request: HttpRequest, point: Snapshot, paths: list[bytes], kind: ArchiveFormat | None, *, what: str
) -> HttpResponseBase:
    """The stream, with an entry in the audit trail; what goes wrong before its first byte is told on the page.

    ``kind`` None: the one file as it is.
    """
    try:
        response, served = _response(point, chosen_copy(request), paths, kind)
    except EngineError as error:
        messages.error(request, f"{error.sentence} {error.hint}".strip())
        return redirect("browse", point.pk)
    name = f"{_stem(point)}.{kind.value}" if kind is not None else display(paths[0].rpartition(b"/")[2])
    response["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    sentence = f"Downloaded {what} of {served}"
    audit.record(action=audit.Action.OPERATED, instance=served, user=request.user, sentence=sentence)
    return response


def _response(
    point: Snapshot, chosen: Copy | None, paths: list[bytes], kind: ArchiveFormat | None
) -> tuple[StreamingHttpResponse, BackupCopy | Snapshot]:
    """The stream, and the row that serves it. Where no node answers, a medium does, unless a copy was chosen.

    Raises the engine's errors before the first byte is sent.
    """
    if is_dump_stream(point.engine):
        raise EngineUnsupported(
            f"Files of {point.subclient.path} cannot be downloaded: they lie in dumps, which only a file server reads.",
            hint="Restore them to a file server, or fetch the images with restic.",
        )
    source = _source(point, chosen, paths, tuple(SourceKind))
    if source.kind is not SourceKind.MEDIA:
        try:
            return _from_snapshot(point, source, paths, kind), point
        except NodeSilent:
            if chosen is not None or not any(one.kind is SourceKind.MEDIA for one in _readable(point)):
                raise
            source = _source(point, None, paths, (SourceKind.MEDIA,))
    row = source.backup_copy
    if row is None:
        raise NotInCopy("No backup copy of this point is on media.")
    browser = browser_of(row)
    return _plain_file(browser, paths[0]) if kind is None else _archive(browser, paths, kind), row


def _source(point: Snapshot, chosen: Copy | None, paths: list[bytes], kinds: tuple[SourceKind, ...]) -> RestoreSource:
    """By RULES V1. Raises NotInCopy with the rule's sentence."""
    answer = choose_source(point, paths=paths, wanted=chosen, kinds=kinds)
    if isinstance(answer, NoSource):
        raise NotInCopy(answer.reason)
    return answer.source


def _readable(point: Snapshot) -> list[RestoreSource]:
    return [source for source in sources_of(point) if not source.candidate.obstacle]


def _from_snapshot(
    point: Snapshot, source: RestoreSource, paths: list[bytes], kind: ArchiveFormat | None
) -> StreamingHttpResponse:
    found = file_stream.fetch(point, source.replica, paths, kind)
    response = StreamingHttpResponse(found.pieces, content_type=_content_type(kind))
    if found.size is not None:
        response["Content-Length"] = str(found.size)
    return response


def _archive(browser: Browser, paths: list[bytes], kind: ArchiveFormat) -> StreamingHttpResponse:
    pieces = stream(InCopy(browser), [StoredPath(path) for path in paths], kind)
    return StreamingHttpResponse(pieces, content_type=_content_type(kind))


def _plain_file(browser: Browser, path: bytes) -> StreamingHttpResponse:
    node = browser.node(path)
    if node is None or node.kind is not NodeKind.FILE:
        raise NotInCopy(f"“{display(path)}” is no regular file.", hint="Download it within an archive.")

    def pieces() -> Iterator[bytes]:
        for blob in node.content:
            yield browser.reader.read(BlobKind.DATA, blob)

    response = StreamingHttpResponse(pieces(), content_type=_content_type(None))
    response["Content-Length"] = str(node.size)
    return response


def _content_type(kind: ArchiveFormat | None) -> str:
    return kind.content_type if kind is not None else "application/octet-stream"


def _stem(point: Snapshot) -> str:
    """The archive's name: what and of when; names of subclients hold no character that needs quoting."""
    taken = timezone.localtime(point.taken_at)
    return f"{point.subclient.path.replace('/', '-')}-{taken:%Y%m%d-%H%M%S}"
