"""The WSGI application that gunicorn serves."""

from __future__ import annotations

from django.core.wsgi import get_wsgi_application

from snapcopy_site.lib import env

env.put("DJANGO_SETTINGS_MODULE", env.text("DJANGO_SETTINGS_MODULE", "snapcopy_site.settings"))
application = get_wsgi_application()
