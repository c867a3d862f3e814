"""Addresses of the jobs pages."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from jobs.views import (
    browse,
    download,
    history,
    job,
    marks,
    orders,
    overview,
    protect,
    restore,
    schedules,
    testing,
    theme,
    upkeep,
)

_subclient = "protect/<str:server>/<str:name>/"

urlpatterns: list[URLPattern | URLResolver] = [
    path("", overview.overview, name="overview"),
    path("running/", overview.overview_running, name="overview-running"),
    path("sample-data/", overview.start_demo, name="start-demo"),
    path("theme/", theme.set_theme, name="theme"),
    path("protect/", protect.protect, name="protect"),
    path(_subclient, protect.subclient, name="subclient"),
    path(f"{_subclient}live/", protect.subclient_live, name="subclient-live"),
    path(f"{_subclient}snapshot/", protect.snapshot_now, name="snapshot-now"),
    path(f"{_subclient}catalog/", protect.catalog_now, name="catalog-now"),
    path(f"{_subclient}acknowledge/", upkeep.acknowledge_source, name="acknowledge-source"),
    path(f"{_subclient}marks/", marks.mark, name="subclient-marks"),
    path(f"{_subclient}copy/", protect.copy_now, name="copy-now"),
    path("snapshots/<int:pk>/delete/", protect.delete_snapshot, name="snapshot-delete"),
    path("jobs/", history.job_list, name="job-list"),
    path("jobs/rows/", history.job_rows, name="job-rows"),
    path("jobs/export.csv", history.job_csv, name="job-csv"),
    path("jobs/waiting/", orders.waiting, name="job-waiting"),
    path("jobs/orders/", orders.order_many, name="job-orders"),
    path("jobs/<int:pk>/", job.job, name="job"),
    path("jobs/<int:pk>/priority/", orders.change_priority, name="job-priority"),
    path("jobs/<int:pk>/live/", job.job_live, name="job-live"),
    path("jobs/<int:pk>/report/", testing.test_live, name="test-live"),
    path("jobs/<int:pk>/resubmit/", job.resubmit, name="job-resubmit"),
    path("jobs/<int:pk>/<slug:order>/", job.order_job, name="job-order"),
    path("schedules/", schedules.schedule_list, name="schedule-list"),
    path("schedules/calendar/", schedules.calendar, name="schedule-calendar"),
    path("schedules/<int:pk>/", schedules.schedule, name="schedule"),
    path("schedules/<int:pk>/run/", schedules.run_now, name="schedule-run"),
    path("restore/", restore.restore, name="restore"),
    path("restore/<int:pk>/", browse.browse, name="browse"),
    path("restore/<int:pk>/basket/", restore.change_basket, name="change-basket"),
    path("restore/<int:pk>/download/", download.download, name="download"),
    path("restore/<int:pk>/file/", download.download_file, name="download-file"),
    path("restore/<int:pk>/start/", restore.start_restore, name="restore-start"),
    path("restore/at/<str:server>/<str:name>/", browse.browse_at, name="browse-at"),
    path("restore/from/<str:server>/<str:name>/", restore.restore_subclient, name="restore-subclient"),
    path("aging/", upkeep.aging, name="aging"),
    path("aging/now/", upkeep.age_now, name="age-now"),
    path("media/<int:pk>/prune/", upkeep.prune_media, name="media-prune"),
    path("media/<int:pk>/verify/", upkeep.verify_media, name="media-verify"),
    path("media/<int:pk>/repair/", upkeep.repair_media, name="media-repair"),
    path("test/media/<int:pk>/", testing.test_media, name="test-media"),
    path("test/file-server/<int:pk>/", testing.test_file_server, name="test-file-server"),
]
