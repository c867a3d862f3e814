"""One content path: asked for, received, and stored as the files of its dump."""

from __future__ import annotations

from collections.abc import Callable

from ...ndmp.backup import BackupOrder, BackupResult, back_up
from ...ndmp.history import HistoryDecoder
from ...ndmp.session import Session
from . import layout
from .history_keeping import CountedHistory, HistoryKeeper
from .meter import Meter
from .plan import Dumped, DumpPlan
from .stream_store import StreamStore


class DumpTaker:
    """Takes the dumps of one plan, one after the other, into a stream store and a tree in the making."""

    def __init__(
        self,
        plan: DumpPlan,
        session: Session,
        store: StreamStore,
        trees: layout.DumpTrees,
        meter: Meter,
        *,
        new_history: Callable[[], HistoryKeeper],
        before_dump: Callable[[str], None],
    ) -> None:
        self._plan, self._session, self._store, self._trees, self._meter = plan, session, store, trees, meter
        self._new_history, self._before_dump = new_history, before_dump

    def take(self, file_system: str) -> Dumped:
        """The dump, whole and with every blob in a pack, or an error; see :func:`..dump.run`."""
        level, profile = self._plan.level, self._plan.source.profile
        keeper = self._new_history()
        history = CountedHistory(keeper)
        decoder = HistoryDecoder(history)
        self._meter.begin(file_system, history)
        try:
            result = self._receive(file_system, decoder)
            if decoder.records:
                listing = self._store.begin()
                keeper.write_to(listing.write)
                self._trees.add(layout.history_path(file_system, level), listing.finish())
        finally:
            keeper.close()
            self._meter.end(file_system)
        self._keep_environment(file_system, result)
        self._meter.settle(result.image_bytes)
        return Dumped(
            file_system=file_system,
            environment=result.environment,
            token=profile.token_of(result.environment),
            image_bytes=result.image_bytes,
            history_records=decoder.records,
        )

    def _receive(self, file_system: str, decoder: HistoryDecoder) -> BackupResult:
        is_only_one = len(self._plan.file_systems) == 1

        def progress(image_bytes: int) -> None:
            self._meter.received(image_bytes)
            if is_only_one:
                self._meter.estimate(self._session, image_bytes)
            self._meter.beat()

        order = self._order(file_system)
        image = self._store.begin()
        self._before_dump(file_system)
        result = back_up(self._session, order, image, history=decoder, progress=progress)
        self._trees.add(layout.image_path(file_system, self._plan.level), image.finish())
        return result

    def _order(self, file_system: str) -> BackupOrder:
        source, tokens = self._plan.source, self._plan.base_tokens
        environment = source.profile.backup_environment(
            source.read_at.get(file_system, file_system),
            level=self._plan.level,
            base_token=None if tokens is None else tokens[file_system],
            history=source.history,
            added=source.added,
        )
        return BackupOrder(type=source.type, environment=environment, data_path=source.data_path)

    def _keep_environment(self, file_system: str, result: BackupResult) -> None:
        source, level = self._plan.source, self._plan.level
        text = layout.environment_text(
            type=source.type,
            level=level,
            profile=source.profile.key,
            file_system=file_system,
            pairs=result.environment,
        )
        writer = self._store.begin()
        writer.write(text)
        self._trees.add(layout.environment_path(file_system, level), writer.finish())
