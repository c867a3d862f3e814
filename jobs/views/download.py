"""Downloading from a backup copy: one file as it is, or chosen paths as an archive; streamed, nothing kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import quote

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from jobs.engine.errors import EngineError, NotInCopy
from jobs.engine.operations.archive import ArchiveFormat, stream
from jobs.engine.operations.browse import Browser
from jobs.engine.plan import StoredPath
from jobs.engine.repository.layout import BlobKind
from jobs.engine.repository.tree import NodeKind
from jobs.models import Snapshot
from policies import audit
from snapcopy_site.lib.roles import operator_required

from . import basket
from .opened import browser_of, on_media
from .restore import chosen_copy, point_or_404
from .stored_paths import display, path_of_query, paths_of_form


@operator_required
@require_safe
def download_file(request: HttpRequest, pk: int) -> HttpResponseBase:
    """One regular file, ``path`` of the address, as it is."""
    point = point_or_404(pk, request.user)
    path = path_of_query(request)
    return _send(request, point, lambda browser: _plain_file(browser, path), what=display(path))


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
    return _send(request, point, lambda browser: _archive(browser, paths, kind, _stem(point)), what=what)


def _send(
    request: HttpRequest, point: Snapshot, answer: Callable[[Browser], StreamingHttpResponse], *, what: str
) -> HttpResponseBase:
    """The stream, with an entry in the audit trail; what goes wrong before its first byte is told on the page."""
    try:
        row = on_media(point, chosen_copy(request))
        response = answer(browser_of(row))
    except EngineError as error:
        messages.error(request, f"{error.sentence} {error.hint}".strip())
        return redirect("browse", point.pk)
    sentence = f"Downloaded {what} of {row}"
    audit.record(action=audit.Action.OPERATED, instance=row, user=request.user, sentence=sentence)
    return response


def _archive(browser: Browser, paths: list[bytes], kind: ArchiveFormat, stem: str) -> StreamingHttpResponse:
    """Raises the engine's errors before the first byte is sent."""
    pieces = stream(browser, [StoredPath(path) for path in paths], kind)
    response = StreamingHttpResponse(pieces, content_type=kind.content_type)
    response["Content-Disposition"] = f'attachment; filename="{stem}.{kind.value}"'
    return response


def _plain_file(browser: Browser, path: bytes) -> StreamingHttpResponse:
    node = browser.node(path)
    if node is None or node.kind is not NodeKind.FILE:
        raise NotInCopy(f"“{display(path)}” is no regular file.", hint="Download it within an archive.")

    def pieces() -> Iterator[bytes]:
        for blob in node.content:
            yield browser.reader.read(BlobKind.DATA, blob)

    response = StreamingHttpResponse(pieces(), content_type="application/octet-stream")
    response["Content-Length"] = str(node.size)
    response["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(display(node.name), safe='')}"
    return response


def _stem(point: Snapshot) -> str:
    """The archive's name: what and of when; names of subclients hold no character that needs quoting."""
    taken = timezone.localtime(point.taken_at)
    return f"{point.subclient.path.replace('/', '-')}-{taken:%Y%m%d-%H%M%S}"
