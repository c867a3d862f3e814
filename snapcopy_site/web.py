"""How gunicorn serves the product: ``gunicorn -c python:snapcopy_site.web``. Where it listens, the supervisor says."""

from __future__ import annotations

import os
from typing import Final

from snapcopy_site.lib import env
from snapcopy_site.logs import logging_settings

wsgi_app: Final = "snapcopy_site.wsgi:application"
worker_class: Final = "gthread"
workers: Final = env.integer("SNAPCOPY_WEB_WORKERS", 2)
threads: Final = env.integer("SNAPCOPY_WEB_THREADS", 8)
# Pages poll every second: kept connections are worth more than twice the requests.
keepalive: Final = 20
graceful_timeout: Final = 10
timeout: Final = 60
preload_app: Final = True
control_socket_disable: Final = True
logconfig_dict: Final = logging_settings(level="INFO") | {
    "loggers": {"gunicorn.error": {"level": "INFO", "handlers": ["stderr"], "propagate": False, "qualname": "gunicorn"}}
}
if os.path.isdir("/dev/shm"):  # noqa: S108 - memory instead of a disk that a backup keeps busy
    worker_tmp_dir = "/dev/shm"  # noqa: S108
